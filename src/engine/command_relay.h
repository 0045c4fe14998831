// Runs one command over a link: stdin in, both streams out, with flow control from end to end.

#pragma once

#include "engine/relay_channel.h"
#include "engine/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"
#include "wire/messages.h"

namespace pyro::engine {

// Sends the command at once, whether the guest is ready or not, and returns when it has ended and
// all its output is with the sink. Memory is bounded by one window per stream whatever the sink
// does. kGuestUnavailable: the guest could not start or died. kCancelled. An error of the sink ends
// it likewise. After an error the link is of no more use; dropping it kills the command. `began` is
// set once the command may have had an effect.
Result<RelayResult> RelayCommand(SupervisorLink& link, const wire::Exec& exec, OutputSink& sink,
                                 const CallIo& io, bool& began);

}  // namespace pyro::engine
