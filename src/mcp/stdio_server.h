// Serving one client over stdin and stdout, one JSON message a line.

#pragma once

#include <chrono>
#include <cstddef>

#include "mcp/server.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::mcp {

struct StdioOptions {
  sys::UniqueFd in;
  sys::UniqueFd out;
  // Borrowed; becoming readable ends serving, as the end of `in` does. -1: nothing but that.
  int stop_fd = -1;
  std::size_t max_line = 8 * 1024 * 1024;  // Bytes; a longer line is answered and skipped.
  // How long cancelled calls may take to return at the end.
  std::chrono::milliseconds drain = std::chrono::milliseconds(900);
  std::string principal = "local";
};

// Takes descriptors 0 and 1 away from the rest of the process: afterwards stdin is empty and what
// anything writes to stdout goes to stderr, so that nothing but the protocol reaches the client. To
// be called before anything is printed or started.
Result<StdioOptions> TakeStdio();

// Returns when the client closes `in`, or `stop_fd` becomes readable, with every call cancelled.
// kTimedOut: a handler did not return within `drain`; then the caller leaves by _exit, because
// Server's destructor would wait for it. kInternal: the descriptors cannot be read or written.
Status ServeStdio(Server& server, StdioOptions options);

}  // namespace pyro::mcp
