// Commands on the host, if the caller allowed it and no guest can start. This is not a virtual
// machine.

#pragma once

#include <filesystem>

#include "engine/context.h"
#include "pyro/engine.h"
#include "wire/messages.h"

namespace pyro::engine {

// kInvalidArgument: the command wants what only a guest has.
Status CheckForHost(const wire::Exec& exec);

// The command with the host's own shell, if it is a script.
wire::Exec ForHost(wire::Exec exec);

// In a bubblewrap jail: the host's own root read-only, with /home, /root, /run, /tmp and /var/tmp
// hidden; `workspace` at /workspace; no network unless `options.network`. kMissingTool: no bwrap.
// kGuestUnavailable: the jail cannot be made here. `end`, unless it is nullptr: set to the end of a
// command that ran.
Result<ExecResult> RunInHostJail(const std::filesystem::path& workspace, const VmOptions& options,
                                 const wire::Exec& exec, const CallIo& io,
                                 CommandEnd* end = nullptr);

// The same in a workspace of its own, which is removed afterwards.
Result<ExecResult> RunOnHost(const Context& context, const VmOptions& options,
                             const wire::Exec& exec, const CallIo& io);

}  // namespace pyro::engine
