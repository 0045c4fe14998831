#include "front/cli/testing/cli_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/check.h"
#include "engine/local_engine.h"
#include "front/cli/cli.h"
#include "sys/files.h"
#include "sys/unique_fd.h"

namespace pyro::cli {
namespace {

int MemoryFile(std::string_view text) {
  auto file = sys::MakeMemoryFile(text);
  PYRO_CHECK(file.ok());
  return file->Release();
}

// All that has been written by now.
std::string TextOf(int fd) {
  std::string text;
  char bytes[4096];
  ssize_t n = 0;
  while ((n = ::pread(fd, bytes, sizeof bytes, static_cast<off_t>(text.size()))) > 0) {
    text.append(bytes, static_cast<std::size_t>(n));
  }
  return text;
}

int CodeOf(pid_t pid) {
  int status = 0;
  PYRO_CHECK(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Json Told::json() const {
  auto json = ParseJson(out);
  return json ? std::move(*json) : Json();
}

std::size_t Told::Widest() const {
  std::size_t widest = 0;
  std::size_t columns = 0;
  bool escape = false;
  for (const char c : out) {
    if (c == '\n') columns = 0;
    if (c == '\x1b') escape = true;
    // Of a character of several bytes the first one counts.
    const bool shown = static_cast<unsigned char>(c) >= ' ' && (c & 0xc0) != 0x80;
    if (shown && !escape) widest = std::max(widest, ++columns);
    if (c == 'm') escape = false;
  }
  return widest;
}

void CliFixture::RunMain(const Words& words) {
  std::vector<std::string> copy = words;
  std::string name = "pyro";
  std::vector<char*> argv = {name.data()};
  for (std::string& word : copy) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::setenv("PYRO_STATE_DIR", state_.c_str(), 1);
  ::setenv("PYRO_CACHE_DIR", cache_.c_str(), 1);
  const int code = Main(
      static_cast<int>(words.size()) + 1, argv.data(),
      [this](const Engine::Directories& directories) {
        return std::make_unique<engine::LocalEngine>(engine::FakeContext(directories, world_));
      },
      world_.clock);
  // As main() does, so that what was counted for coverage is kept.
  std::exit(code);  // NOLINT(concurrency-mt-unsafe)
}

CliFixture::Running CliFixture::Start(const Words& words, std::string_view input) {
  Running running{.pid = -1, .out = MemoryFile(""), .err = MemoryFile("")};
  const sys::UniqueFd in(MemoryFile(input));
  std::fflush(nullptr);
  running.pid = ::fork();
  PYRO_CHECK(running.pid >= 0);
  if (running.pid == 0) {
    ::dup2(in.get(), STDIN_FILENO);
    ::dup2(running.out, STDOUT_FILENO);
    ::dup2(running.err, STDERR_FILENO);
    RunMain(words);
  }
  return running;
}

void CliFixture::AwaitText(int file, std::string_view text) {
  for (int i = 0; i < 6000 && TextOf(file).find(text) == std::string::npos; ++i) {
    ::poll(nullptr, 0, 10);
  }
}

Told CliFixture::Join(const Running& running) {
  Told told;
  told.code = CodeOf(running.pid);
  told.out = TextOf(running.out);
  told.err = TextOf(running.err);
  ::close(running.out);
  ::close(running.err);
  return told;
}

Told CliFixture::Pyro(const Words& words, std::string_view input) {
  return Join(Start(words, input));
}

Told CliFixture::PyroOnTerminal(const Words& words) {
  const sys::UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  PYRO_CHECK(terminal.valid() && ::grantpt(terminal.get()) == 0 && ::unlockpt(terminal.get()) == 0);
  const winsize size = {.ws_row = 24, .ws_col = 80};
  PYRO_CHECK(::ioctl(terminal.get(), TIOCSWINSZ, &size) == 0);
  char name[64];
  PYRO_CHECK(::ptsname_r(terminal.get(), name, sizeof name) == 0);
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  PYRO_CHECK(pid >= 0);
  if (pid == 0) {
    const int end = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    ::dup2(end, STDOUT_FILENO);
    ::dup2(end, STDERR_FILENO);
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
    RunMain(words);
  }
  Told told;
  // The terminal is at its end when no process has it open any more: at first none has.
  siginfo_t info{};
  while (true) {
    pollfd entry = {.fd = terminal.get(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, 20);
    char bytes[4096];
    const ssize_t n =
        (entry.revents & POLLIN) != 0 ? ::read(terminal.get(), bytes, sizeof bytes) : 0;
    if (n > 0) {
      told.out.append(bytes, static_cast<std::size_t>(n));
    } else if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
               info.si_pid == pid) {
      break;
    }
  }
  told.code = CodeOf(pid);
  return told;
}

std::string CliFixture::CreateTask() {
  const auto task = engine_->CreateTask(Task());
  EXPECT_TRUE(task.ok()) << task.error().message;
  return task ? task->task_id : "";
}

}  // namespace pyro::cli
