// A task whose guest runs, for the calls that need one.

#pragma once

#include <optional>
#include <string>
#include <string_view>

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

// The same, with a link to a guest that takes commands. A task on the host is refused: `what` ends
// the sentence that begins with "the task runs on the host, and".
Result<Running> EnsureReadyGuest(const Context& context, Found& found, std::string_view what,
                                 std::string hint, const CallIo& io);

// The hint for calls about files.
inline constexpr const char* kFilesOnHost =
    "its files are in the task's directory, under workspace/";

}  // namespace pyro::engine
