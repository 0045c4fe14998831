#include "front/cli/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "api/json.h"

namespace pyro::cli {
namespace {

int print_errno = 0;  // Of the first Print that failed.

// Returns 0, or the errno. Another program that shares the pipe or terminal may have made it
// non-blocking.
int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EAGAIN) {
      pollfd room = {fd, POLLOUT, 0};
      ::poll(&room, 1, -1);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

Error NotWritten(int number, std::string_view what, const char* hint) {
  Error error = MakeError(
      number == ENOSPC || number == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kUnavailable,
      fmt::format("{} cannot be written: {}", what, std::strerror(number)), hint);
  error.sys_errno = number;
  return error;
}

}  // namespace

std::string Paint(int fd, Colour colour, std::string_view text) {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool plain = (refused != nullptr && *refused != '\0') || terminal == nullptr ||
                     *terminal == '\0' || std::string_view(terminal) == "dumb" || ::isatty(fd) != 1;
  if (plain) return std::string(text);
  constexpr const char* kCodes[] = {"32", "31", "33", "1", "2"};  // In the order of Colour.
  const char* code = kCodes[static_cast<std::size_t>(colour)];
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void Print(std::string_view text) {
  if (print_errno == 0) print_errno = WriteAll(STDOUT_FILENO, text);
}

void PrintJson(const Json& document) { Print(ToPrettyJson(document) + "\n"); }

Status TakePrintError() {
  const int number = std::exchange(print_errno, 0);
  if (number == 0) return OkStatus();
  return NotWritten(number, "stdout", "the command did its work: only its output is lost");
}

void Talk(std::string_view text) { (void)WriteAll(STDERR_FILENO, text); }

void ReportError(const Error& error, bool json) {
  if (json) {
    PrintJson(ToJson(error));
    // If stdout is full, stderr still has the error.
    (void)TakePrintError();
  }
  Talk(Paint(STDERR_FILENO, Colour::kRed, "pyro:") + " " + error.message + "\n");
  if (!error.hint.empty()) {
    Talk(Paint(STDERR_FILENO, Colour::kBold, "hint:") + " " + error.hint + "\n");
  }
}

std::size_t TerminalColumns(int fd, std::size_t otherwise) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : otherwise;
}

bool StderrIsTerminal() { return ::isatty(STDERR_FILENO) == 1; }

TerminalSink::TerminalSink() : out_(Open(STDOUT_FILENO)), err_(Open(STDERR_FILENO)) {}

TerminalSink::~TerminalSink() {
  for (const Target& target : {out_, err_}) {
    if (target.kind == Kind::kReopened) ::close(target.fd);
  }
}

TerminalSink::Target TerminalSink::Open(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return {fd, Kind::kFile};
  if (S_ISSOCK(info.st_mode)) return {fd, Kind::kSocket};
  const bool waits = S_ISFIFO(info.st_mode) || ::isatty(fd) == 1;
  if (!waits) return {fd, Kind::kFile};
  // A description of our own can be made non-blocking; the inherited one is shared with other
  // programs.
  const int own = ::open(fmt::format("/proc/self/fd/{}", fd).c_str(),
                         O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (own >= 0) return {own, Kind::kReopened};
  return {fd, Kind::kShared};
}

int TerminalSink::WritableFd(OutputStream stream) {
  const Target& target = stream == OutputStream::kStdout ? out_ : err_;
  return target.kind == Kind::kFile ? -1 : target.fd;
}

Result<std::size_t> TerminalSink::Write(OutputStream stream, std::string_view bytes) {
  const Target& target = stream == OutputStream::kStdout ? out_ : err_;
  // A writable pipe takes PIPE_BUF bytes without waiting, however it was opened.
  if (target.kind == Kind::kShared) bytes = bytes.substr(0, PIPE_BUF);
  const ssize_t n = target.kind == Kind::kSocket
                        ? ::send(target.fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                        : ::write(target.fd, bytes.data(), bytes.size());
  if (n >= 0) return static_cast<std::size_t>(n);
  if (errno == EINTR || errno == EAGAIN) return std::size_t{0};
  return NotWritten(errno, "the command's output",
                    "the command was killed; 'pyro task logs' has the output of a task's command");
}

}  // namespace pyro::cli
