// Files in and out of a task's guest: tar streams through commands that are not kept in the
// journal.

#pragma once

#include <string>

#include "base/ids.h"
#include "engine/supervisor_link.h"
#include "pyro/engine.h"

namespace pyro::engine {

// kInvalidArgument, kNotFound: neither a directory nor an archive that can be read.
Status CheckSource(const std::string& source_path);

// Unpacks a directory or an archive into /workspace, owned by root there, and waits until it is on
// the guest's disk. The state and cache directories are left out of a directory that holds them.
Status SeedWorkspace(SupervisorLink& link, const std::string& source_path, const Context& context,
                     const CallIo& io);

// The guest's stream is hostile: see archive/extract.h.
Result<ExportedPath> ExportFromGuest(SupervisorLink& link, const TaskId& id,
                                     const std::string& path, const std::string& destination,
                                     const CallIo& io);

}  // namespace pyro::engine
