// Whole commands: the functions of child_process.h that need no more than a ChildProcess.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/wait_for.h"

namespace pyro::sys {

Result<ChildProcess> SpawnWithInput(SpawnOptions options, std::string_view input) {
  PYRO_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  options.stdin_fd = std::move(pipe.read);
  PYRO_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Spawn(std::move(options)));
  if (const Status sent = WriteAll(pipe.write.get(), input);
      !sent && sent.error().sys_errno != EPIPE) {
    return sent.error();
  }
  return child;
}

Result<CommandOutput> RunCommand(SpawnOptions options, Deadline deadline, std::size_t max_bytes,
                                 int cancel_fd) {
  PYRO_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  PYRO_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  options.stdout_fd = std::move(out.write);
  options.stderr_fd = std::move(err.write);
  const std::string program = options.argv.empty() ? "" : options.argv[0];
  PYRO_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Spawn(std::move(options)));
  CommandOutput output;
  struct Stream {
    UniqueFd* fd;
    std::string* text;
    std::size_t most;
  } streams[] = {{&out.read, &output.stdout_text, max_bytes},
                 {&err.read, &output.stderr_text, 1 << 20}};
  std::vector<char> buffer(65536);  // Not on the stack, which may be a small one of the caller's.
  while (out.read.valid() || err.read.valid()) {
    pollfd polls[] = {
        {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    const int ready = ::poll(polls, 3, deadline.PollTimeout());
    if (ready > 0 && polls[2].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (ready == 0 && deadline.Expired()) return ErrnoError(ETIMEDOUT, "run", program);
    for (int i = 0; ready > 0 && i < 2; ++i) {
      if (!streams[i].fd->valid() || polls[i].revents == 0) continue;
      const ssize_t n = ::read(streams[i].fd->get(), buffer.data(), buffer.size());
      if (n > 0) {
        const std::size_t room =
            streams[i].most - std::min(streams[i].most, streams[i].text->size());
        streams[i].text->append(buffer.data(), std::min(room, static_cast<std::size_t>(n)));
      } else if (n == 0 || errno != EINTR) {
        streams[i].fd->Reset();
      }
    }
  }
  if (WaitFor(child.exit_fd(), POLLIN, deadline, cancel_fd) == Waited::kCancelled) {
    return MakeError(ErrorCode::kCancelled, "cancelled");
  }
  PYRO_ASSIGN_OR_RETURN(output.status, child.Wait(deadline));
  return output;
}

Result<std::filesystem::path> FindProgram(const std::string& name, const std::string& hint) {
  const std::string path =
      Environment("PATH") + ":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
  for (const std::string_view directory : Split(path, ':')) {
    if (directory.empty() || directory[0] != '/') continue;
    const std::filesystem::path candidate = std::filesystem::path(directory) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return MakeError(ErrorCode::kMissingTool, fmt::format("'{}' is not installed", name), hint);
}

}  // namespace pyro::sys
