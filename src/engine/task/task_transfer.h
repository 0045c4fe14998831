// Files in and out of a task's guest, as tar streams that its agent reads and writes.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/extract.h"
#include "archive/pack.h"
#include "base/ids.h"
#include "engine/context.h"
#include "engine/instance/supervisor_link.h"
#include "engine/task/file_call.h"
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

// The parts of which these are made, for other copies.

// An absolute path without a trailing slash, as seen in the guest.
std::string GuestPath(const std::string& path);

archive::Operation MakeOperation(const CallIo& io, const char* phase);

// What is at the path, behind any symbolic link; nullopt: nothing. kNotFound: a link that leads
// nowhere. kInvalidArgument: something else.
Result<std::optional<archive::Exported>> LookInGuest(SupervisorLink& link, const std::string& path,
                                                     const CallIo& io);

// A tar of the file or directory at a path, which is followed if it is a link; links in a directory
// stay.
FileCall PackCall(const std::string& path);

// Carries out an operation in the guest that reads the tar that `pack` writes. `end`, if given, is
// set to how the operation ended.
using Packer = std::function<Result<archive::Summary>(int out_fd)>;
Result<archive::Summary> StreamIntoGuest(SupervisorLink& link, const FileCall& unpack,
                                         const Packer& pack, const CallIo& io,
                                         wire::FileEnd* end = nullptr);

// Carries out an operation in the guest that writes a tar, which `receive` takes. Returns how the
// operation ended. `names_fd`: its stdin, borrowed.
using Receiver = std::function<Status(int in_fd)>;
Result<wire::FileEnd> StreamFromGuest(SupervisorLink& link, const FileCall& pack,
                                      const Receiver& receive, const CallIo& io, int names_fd = -1);

}  // namespace pyro::engine
