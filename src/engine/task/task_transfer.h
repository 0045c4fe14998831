// Files in and out of a task's guest: tar streams through commands that are not kept in the
// journal.

#pragma once

#include <optional>
#include <string>

#include "archive/pack.h"
#include "base/ids.h"
#include "engine/context.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"

namespace pyro::engine {

// What a new task's workspace is filled with.
struct Seed {
  std::string path;
  bool directory = false;
  archive::Selection selection;  // Of an archive only its patterns.
};

// nullopt: with nothing. Asks git, if it is to. The state and cache directories are left out of a
// directory that holds them. kInvalidArgument, kNotFound: neither a directory nor an archive that
// can be read, or patterns or git for what they cannot apply to.
Result<std::optional<Seed>> PlanSeed(const TaskOptions& options, const Context& context,
                                     const CallIo& io);

// Unpacks it into /workspace, owned by root there, and waits until it is on the guest's disk. Says
// by `io.on_notice` what was left out unasked.
Status SeedWorkspace(SupervisorLink& link, const Seed& seed, const CallIo& io);

// The guest's stream is hostile: see archive/extract.h.
Result<ExportedPath> ExportFromGuest(SupervisorLink& link, const InstanceId& id,
                                     const std::string& path, const std::string& destination,
                                     const ExportOptions& options, const CallIo& io);

}  // namespace pyro::engine
