// Runs one command over a link: stdin in, both streams out, with flow control from end to end.

#pragma once

#include "engine/relay_channel.h"
#include "engine/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"
#include "wire/messages.h"

namespace pyro::engine {

// Sends the command at once, even before the guest is ready, and returns when it has ended and the
// sink has all its output. Memory is bounded by one window per stream for any sink.
// kGuestUnavailable: the guest could not start or died. kCancelled. An error of the sink also ends
// it. After an error the link cannot be used any more; dropping it kills the command. `began` is
// set once the command may have had an effect.
Result<RelayResult> RelayCommand(SupervisorLink& link, const wire::Exec& exec, OutputSink& sink,
                                 const CallIo& io, bool& began);

}  // namespace pyro::engine
