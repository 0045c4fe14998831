#include "vmm/qemu/probe.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "jail/jail.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/wait_for.h"
#include "vmm/qemu/argv.h"
#include "vmm/qemu/qemu_program.h"

// The firmware image of probe_rom.S.
extern "C" {
extern const char pyro_vmm_probe_rom[];      // NOLINT: a symbol of probe_rom.S
extern const char pyro_vmm_probe_rom_end[];  // NOLINT
}

namespace pyro::vmm::qemu {
namespace {

using std::chrono::milliseconds;

// What the guest of probe_rom.S sends.
constexpr char kBegun = 'b';
constexpr char kRight = 'r';
constexpr milliseconds kLook{10};  // How often we look at QEMU while the guest runs.

Result<sys::UniqueFd> ProbeFirmware() {
  sys::UniqueFd file(::memfd_create("probe", MFD_CLOEXEC));
  if (!file.valid()) return sys::ErrnoError(errno, "memfd_create");
  const auto size = static_cast<std::size_t>(pyro_vmm_probe_rom_end - pyro_vmm_probe_rom);
  PYRO_RETURN_IF_ERROR(sys::WriteAll(file.get(), std::string_view(pyro_vmm_probe_rom, size)));
  if (::fchmod(file.get(), 0444) != 0) return sys::ErrnoError(errno, "fchmod");
  return file;
}

struct Sign {
  char letter = 0;
  pid_t sender = 0;  // 0: a process that this one cannot see.
};

// Waits for the guest's next sign. kTimedOut; kUnavailable: QEMU has closed the socket.
Result<Sign> NextSign(int fd, Deadline deadline) {
  if (sys::WaitFor(fd, POLLIN, deadline) != sys::Waited::kReady) {
    return MakeError(ErrorCode::kTimedOut, "no sign");
  }
  Sign sign;
  iovec bytes{.iov_base = &sign.letter, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != 1) {
    return MakeError(ErrorCode::kUnavailable, "no more signs");
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET &&
      header->cmsg_type == SCM_CREDENTIALS) {
    ucred credentials{};
    std::memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
    sign.sender = credentials.pid;
  }
  return sign;
}

// Processor time of a process so far. Of one that cannot be seen, the time on the wall.
milliseconds TimeOf(pid_t process) {
  clockid_t clock = CLOCK_MONOTONIC;
  if (process > 0 && ::clock_getcpuclockid(process, &clock) != 0) clock = CLOCK_MONOTONIC;
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::chrono::duration_cast<milliseconds>(std::chrono::seconds(time.tv_sec) +
                                                  std::chrono::nanoseconds(time.tv_nsec));
}

// Why QEMU has stopped the guest; empty: it has not. When KVM fails to run a guest, then QEMU says
// so, prints the processor's registers, and waits for ever.
std::string WhyStopped(jail::JailedProcess& process) {
  const std::string said = process.Diagnostics();
  const bool stopped = said.find("EIP=") != said.npos || said.find("RIP=") != said.npos;
  return stopped ? Printable(std::string_view(said).substr(0, said.find('\n')), 300) : "";
}

// Waits for the next sign, but no longer than until `over`. Errors as NextSign().
Result<Sign> AwaitSign(int fd, Deadline deadline, const std::function<bool()>& over) {
  while (true) {
    const Deadline look = Deadline::After(kLook);
    Result<Sign> sign = NextSign(fd, look.at() < deadline.at() ? look : deadline);
    const bool waits = !sign && sign.error().code == ErrorCode::kTimedOut && !deadline.Expired();
    if (over() || !waits) return sign;
  }
}

// Of a QEMU that has closed its descriptors.
std::string EndedWrongly(jail::JailedProcess& process, Deadline deadline) {
  const Result<sys::ExitStatus> status = process.Wait(deadline);
  if (!status) return "closed its debug port";
  const std::string said = PrintableLines(process.Diagnostics(), 300);
  return fmt::format("ended wrongly ({} {}{}{})", status->signalled ? "signal" : "code",
                     status->code, said.empty() ? "" : ": ", said);
}

}  // namespace

Result<ProbeOutcome> RunProbe(const std::filesystem::path& program, Accelerator accelerator,
                              const std::filesystem::path& kvm_device, ProbeLimits limits) {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd firmware, ProbeFirmware());
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair signs, sys::MakeSocketPair());
  // With each sign the kernel says which process of this host sent it: QEMU, inside of its jail.
  const int on = 1;
  if (::setsockopt(signs.first.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return sys::ErrnoError(errno, "setsockopt");
  }
  QemuLaunch launch;
  launch.argv = ProbeArguments(program, accelerator, 3, 4);
  launch.pass.push_back(std::move(firmware));
  launch.pass.push_back(std::move(signs.second));
  launch.accelerator = accelerator;
  launch.kvm_device = kvm_device;
  launch.identity = "accelerator probe";

  const Deadline deadline = Deadline::After(limits.patience);
  ProbeOutcome outcome;
  Result<jail::JailedProcess> process = LaunchQemu(std::move(launch), deadline);
  if (!process) {
    if (process.error().code == ErrorCode::kMissingTool) return std::move(process).error();
    outcome.out_of_patience = process.error().code == ErrorCode::kTimedOut;
    outcome.failure = "did not start: " + process.error().message;
    return outcome;
  }
  const auto stopped = [&process] { return !WhyStopped(*process).empty(); };
  Result<Sign> sign = AwaitSign(signs.first.get(), deadline, stopped);
  if (sign && sign->letter == kBegun) {
    const pid_t qemu = sign->sender;
    const milliseconds before = TimeOf(qemu);
    sign = AwaitSign(signs.first.get(), deadline, [&] {
      outcome.processor = TimeOf(qemu) - before;
      const milliseconds limit = limits.processor;
      return (limit.count() > 0 && outcome.processor > limit) || stopped();
    });
  }
  if (sign) {
    outcome.correct = sign->letter == kRight;
    if (!outcome.correct) outcome.failure = "came out wrong";
  } else if (sign.error().code == ErrorCode::kUnavailable) {
    outcome.failure = EndedWrongly(*process, deadline);
  } else if (stopped()) {
    outcome.failure = fmt::format("was stopped ({})", WhyStopped(*process));
  } else if (deadline.Expired()) {
    outcome.out_of_patience = true;
    outcome.failure = fmt::format("did not finish within {} ms", limits.patience.count());
  } else {
    outcome.failure = fmt::format("took more than {} ms", limits.processor.count());
  }
  return outcome;
}

}  // namespace pyro::vmm::qemu
