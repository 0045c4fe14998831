#include "image/tools.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <map>

#include <fmt/format.h>

#include "base/head_tail.h"
#include "base/text.h"
#include "base/try.h"
#include "image/store/build_log.h"
#include "pyro/version.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/wait_for.h"

namespace pyro::image {
namespace {

constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kTailBytes = 8192;
constexpr std::chrono::milliseconds kTick(200);

std::string InstallHint(std::string_view tool) {
  static const std::map<std::string_view, std::string_view> kPackages = {
      {"apt-config", "apt"},         {"apt-get", "apt"},           {"depmod", "kmod"},
      {"dpkg-deb", "dpkg"},          {"dpkg-query", "dpkg"},       {"mke2fs", "e2fsprogs"},
      {"mkfs.erofs", "erofs-utils"}, {"mmdebstrap", "mmdebstrap"}, {"modprobe", "kmod"},
      {"newuidmap", "uidmap"},       {"newgidmap", "uidmap"},      {"rm", "coreutils"},
      {"unshare", "util-linux"},     {"mv", "coreutils"}};
  const auto package = kPackages.find(tool);
  return fmt::format("install it: sudo apt install {}",
                     package == kPackages.end() ? tool : package->second);
}

// Cuts a byte stream into lines of bounded length.
class LineSplitter {
 public:
  explicit LineSplitter(const LineFn& on_line) : on_line_(on_line) {}

  void Append(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n' || c == '\r') {
        Flush();
      } else if (line_.size() < kMaxLine) {
        line_ += c;
      }
    }
  }

  void Flush() {
    if (!line_.empty() && on_line_) on_line_(line_);
    line_.clear();
  }

 private:
  const LineFn& on_line_;
  std::string line_;
};

// After SIGKILL: end of file says that the last process with the pipe is gone, so no process writes
// into its directories any more.
void DrainUntilClosed(int fd) {
  const Deadline deadline = Deadline::After(std::chrono::seconds(20));
  std::array<char, 4096> buffer{};
  while (!deadline.Expired() && sys::WaitFor(fd, POLLIN, deadline) == sys::Waited::kReady) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n == 0 || (n < 0 && errno != EINTR)) return;
  }
}

}  // namespace

bool Cancelled(Cancellation cancel) { return sys::IsReady(cancel.fd); }

Result<std::filesystem::path> ToolPaths::Find(std::string_view tool) const {
  if (search.empty()) return sys::FindProgram(std::string(tool), InstallHint(tool));
  for (const auto& directory : search) {
    const auto candidate = directory / tool;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return MakeError(ErrorCode::kMissingTool, fmt::format("the program '{}' is not installed", tool),
                   InstallHint(tool));
}

std::vector<std::string> ToolEnvironment(const ToolPaths& tools) {
  std::string path;
  for (const auto& directory : tools.search) path += directory.native() + ":";
  path += "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  std::vector<std::string> env = {"PATH=" + path, "LC_ALL=C.UTF-8",
                                  "DEBIAN_FRONTEND=noninteractive", "HOME=/"};
  for (const char* name : {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
                           "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}) {
    const std::string value = sys::Environment(name);
    if (!value.empty()) env.push_back(fmt::format("{}={}", name, value));
  }
  return env;
}

Result<ToolRun> RunTool(sys::SpawnOptions options, Cancellation cancel, const LineFn& on_line,
                        const TickFn& on_tick) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe output, sys::MakePipe());
  sys::UniqueFd second(::fcntl(output.write.get(), F_DUPFD_CLOEXEC, 3));
  if (!second.valid()) return sys::ErrnoError(errno, "duplicate a descriptor");
  options.stdout_fd = std::move(output.write);
  options.stderr_fd = std::move(second);
  const std::string program = options.argv.front();
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess child, sys::ChildProcess::Spawn(std::move(options)));
  HeadTail tail(0, kTailBytes);
  LineSplitter lines(on_line);
  std::array<char, 4096> buffer{};
  Deadline next_tick = on_tick ? Deadline::After(kTick) : Deadline::Never();
  for (;;) {
    const auto waited = sys::WaitFor(output.read.get(), POLLIN, next_tick, cancel.fd);
    bool out_of_time = false;
    if (waited != sys::Waited::kCancelled && next_tick.Expired()) {
      out_of_time = !on_tick();
      next_tick = Deadline::After(kTick);
    }
    if (waited == sys::Waited::kCancelled || out_of_time) {
      static_cast<void>(child.SignalGroup(SIGKILL));
      DrainUntilClosed(output.read.get());
      return MakeError(out_of_time ? ErrorCode::kTimedOut : ErrorCode::kCancelled,
                       fmt::format("'{}' was stopped", program));
    }
    if (waited == sys::Waited::kTimedOut) continue;
    const ssize_t n = ::read(output.read.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sys::ErrnoError(errno, "read the output of", program);
    if (n == 0) break;
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
    tail.Append(bytes);
    lines.Append(bytes);
  }
  lines.Flush();
  PYRO_ASSIGN_OR_RETURN(const sys::ExitStatus status, child.Wait(Deadline::Never()));
  return ToolRun{status, tail.Text()};
}

Result<std::string> Capture(const ToolPaths& tools, std::vector<std::string> argv,
                            Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(const auto program, tools.Find(argv.front()));
  const std::string name = argv.front();
  argv.front() = program;
  sys::SpawnOptions options;
  options.argv = std::move(argv);
  options.env = ToolEnvironment(tools);
  constexpr std::size_t kMaxOutput = 16 << 20;
  auto output = sys::RunCommand(std::move(options), Deadline::After(std::chrono::minutes(2)),
                                kMaxOutput, cancel.fd);
  if (!output) {
    if (output.error().code != ErrorCode::kTimedOut) return std::move(output).error();
    return MakeError(ErrorCode::kUnavailable, fmt::format("'{}' did not end", name), "try again");
  }
  if (!output->status.success()) return ExplainFailure(name, output->stderr_text);
  return std::move(output->stdout_text);
}

std::map<std::string, std::string> ToolVersions(const ToolPaths& tools,
                                                const std::vector<std::string>& names) {
  std::map<std::string, std::string> versions = {{"pyro", PYRO_VERSION}};
  for (const auto& name : names) {
    const auto program = tools.Find(name);
    if (!program) continue;
    sys::SpawnOptions options;
    options.argv = {*program, "--version"};
    options.env = ToolEnvironment(tools);
    const auto said = sys::RunCommand(std::move(options), Deadline::After(std::chrono::minutes(2)));
    if (!said) continue;
    // Its status says nothing: mkfs.erofs 1.5 prints its version and fails.
    const auto line = TrimSpace(Split(said->stdout_text, '\n').front());
    if (line.starts_with(name)) versions[name] = Printable(line, 100);
  }
  return versions;
}

}  // namespace pyro::image
