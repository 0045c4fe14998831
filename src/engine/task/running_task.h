// A task whose guest runs, for the calls that need one.

#pragma once

#include <optional>

#include "engine/context.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"

namespace pyro::engine {

struct Running {
  Taken taken;  // Without a link it runs on the host.
  std::optional<Restart> restart;
};

// Starts a stopped one, and says so by `io.on_notice`.
Result<Running> EnsureRunning(const Context& context, Found& found, const CallIo& io);

}  // namespace pyro::engine
