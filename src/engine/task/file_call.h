// One operation on files of a task, carried out by the agent of its guest.

#pragma once

#include <string>

#include "base/command.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"
#include "wire/files.h"

namespace pyro::engine {

struct FileCall {
  wire::FileRequest request;
  std::string user = {};
  bool changes = false;  // The guest's disk is synced before its end is told.
};

// Of `io`, stdin is the operation's, and so are the cancellation and the progress of the guest's
// start. `content` takes what the guest sends; nullptr: nothing may come. An operation that failed
// in the guest is an error with a path. kGuestUnavailable: the guest died, or killed the operation.
// kNoSpace: it could not write to its disk. kProtocol: its answer is malformed, or the supervisor
// is of an earlier version.
Result<wire::FileEnd> CarryOutInGuest(SupervisorLink& link, const FileCall& call,
                                      OutputSink* content, const CallIo& io);

// kNoSpace: the guest could not write out what an operation with `changes` wrote.
Status CheckWrittenOut(const CommandEnd& end);

// The same error for a path that failed otherwise. `path`: what it is about.
Error FileCallError(int number, const std::string& path);

}  // namespace pyro::engine
