#include "takeover.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cerrno>
#include <string>
#include <thread>
#include <utility>

#include "base/time.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::escapes {
namespace {

constexpr std::size_t kRoom = 1024;
constexpr std::size_t kRedZone = 128;  // Below the stack's end, in use all the same.
constexpr long kSyscallInstruction = 0x050f;
constexpr int kMostStops = 64;

}  // namespace

Takeover::Takeover(Takeover&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), saved_(other.saved_) {}

Takeover::~Takeover() {
  if (pid_ > 0 && !ended_) ::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
}

// Of a process whose first thread alone was ended, the kernel tells nothing.
bool Takeover::OnlyItsThreadEnded() const {
  const auto text = sys::ReadFile("/proc/" + std::to_string(pid_) + "/stat", 4096);
  return text && text->find(") Z ") != std::string::npos;
}

bool Takeover::AwaitStop() {
  int status = 0;
  pid_t seen = 0;
  const Deadline deadline = Deadline::After(std::chrono::seconds(3));
  while (seen == 0 && !deadline.Expired()) {
    seen = ::waitpid(pid_, &status, __WALL | WNOHANG);
    if (seen == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  if (seen == pid_ && WIFSTOPPED(status)) return true;
  ended_ = true;
  if (seen == pid_ && WIFSIGNALED(status)) end_signal_ = WTERMSIG(status);
  if (seen == pid_ && WIFEXITED(status)) exit_code_ = WEXITSTATUS(status);
  if (seen == 0) {
    end_signal_ = OnlyItsThreadEnded() ? kThreadAlone : kHangs;
    // While its tracer does not wait for it, its jail does not end.
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, __WALL);
  }
  return false;
}

Result<Takeover> Takeover::Of(pid_t pid) {
  Takeover taken(pid);
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_EXITKILL) != 0) {
    taken.pid_ = -1;
    return sys::ErrnoError(errno, "trace a process");
  }
  const Deadline deadline = Deadline::After(std::chrono::seconds(10));
  while (!deadline.Expired()) {
    if (::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0 || !taken.AwaitStop()) break;
    if (::ptrace(PTRACE_GETREGS, pid, nullptr, &taken.saved_) != 0) break;
    errno = 0;
    const long code = ::ptrace(PTRACE_PEEKTEXT, pid, taken.saved_.rip - 2, nullptr);
    if (errno == 0 && (code & 0xffff) == kSyscallInstruction) return taken;
    ::ptrace(PTRACE_CONT, pid, nullptr, nullptr);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return MakeError(ErrorCode::kTimedOut, "the process does not wait in a system call");
}

long Takeover::Inject(long number, const std::uint64_t (&arguments)[6]) {
  if (ended_) return -EIO;
  user_regs_struct registers = saved_;
  registers.rip -= 2;
  registers.rax = static_cast<std::uint64_t>(number);
  registers.orig_rax = ~0ull;  // The call that was interrupted is not begun again.
  registers.rdi = arguments[0];
  registers.rsi = arguments[1];
  registers.rdx = arguments[2];
  registers.r10 = arguments[3];
  registers.r8 = arguments[4];
  registers.r9 = arguments[5];
  if (::ptrace(PTRACE_SETREGS, pid_, nullptr, &registers) != 0) return -EIO;
  for (int stop = 0; stop < kMostStops; ++stop) {
    if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0 || !AwaitStop()) return -EIO;
    if (::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0) return -EIO;
    // Other stops are signals on their way, which are kept back.
    if (registers.rip != saved_.rip - 2) break;
  }
  const long answer = static_cast<long>(registers.rax);
  if (::ptrace(PTRACE_SETREGS, pid_, nullptr, &saved_) != 0) return -EIO;
  return answer;
}

std::uint64_t Takeover::Put(std::string_view bytes) {
  const std::size_t size = (bytes.size() + 15) / 16 * 16;
  if (ended_ || used_ + size > kRoom) return 0;
  const std::uint64_t address = ((saved_.rsp - kRedZone - kRoom) & ~15ull) + used_;
  iovec from{const_cast<char*>(bytes.data()), bytes.size()};  // NOLINT: it is only read
  iovec to{reinterpret_cast<void*>(address), bytes.size()};   // NOLINT: of the other process
  if (::process_vm_writev(pid_, &from, 1, &to, 1, 0) != static_cast<ssize_t>(bytes.size())) {
    return 0;
  }
  used_ += size;
  return address;
}

std::uint64_t Takeover::PutText(std::string_view text) {
  std::string bytes(text);
  bytes.push_back('\0');
  return Put(bytes);
}

}  // namespace pyro::escapes
