// Serving one client over stdin and stdout, one JSON message a line.

#pragma once

#include <chrono>
#include <cstddef>

#include "mcp/server/server.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::mcp {

struct StdioOptions {
  sys::UniqueFd in;
  sys::UniqueFd out;
  // Borrowed; ends serving when it becomes readable, as the end of `in` does. -1: only that end.
  int stop_fd = -1;
  std::size_t max_line = 8 * 1024 * 1024;  // Bytes; a longer line is answered and skipped.
  // The time for cancelled calls to return at the end.
  std::chrono::milliseconds drain = std::chrono::milliseconds(900);
  std::string principal = "local";
};

// Takes descriptors 0 and 1 away from the rest of the process: afterwards stdin is empty, and
// writes to stdout go to stderr, so that only the protocol reaches the client. Call it before the
// process prints or starts a thread.
Result<StdioOptions> TakeStdio();

// Returns when the client closes `in`, or `stop_fd` becomes readable, with every call cancelled.
// kTimedOut: a handler did not return within `drain`; then the caller leaves by _exit, because
// Server's destructor would wait for it. kInternal: the descriptors cannot be read or written.
Status ServeStdio(Server& server, StdioOptions options);

}  // namespace pyro::mcp
