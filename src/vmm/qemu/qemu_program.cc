#include "vmm/qemu/qemu_program.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/try.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"

namespace pyro::vmm::qemu {
namespace {

constexpr char kInstallHint[] = "install it: apt-get install qemu-system-x86";

// Firmware, and the one module that distributions may have split off. QEMU finds them by these
// paths.
const std::array<std::filesystem::path, 6> kQemuFiles = {
    "/usr/share/qemu",
    "/usr/share/seabios",
    "/usr/lib/ipxe/qemu",
    "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so",
    "/usr/lib64/qemu/accel-tcg-x86_64.so",
    "/usr/lib/qemu/accel-tcg-x86_64.so"};

}  // namespace

Result<std::filesystem::path> FindQemu() {
  return sys::FindProgram("qemu-system-x86_64", kInstallHint);
}

Result<JailedProcess> LaunchQemu(QemuLaunch launch, Deadline deadline) {
  JailSpec spec;
  spec.argv = std::move(launch.argv);
  spec.pass = std::move(launch.pass);
  spec.read_only.assign(kQemuFiles.begin(), kQemuFiles.end());
  spec.identity = std::move(launch.identity);
  if (launch.accelerator == Accelerator::kKvm) {
    spec.devices.push_back({.source = launch.kvm_device, .target = "/dev/kvm"});
  }
  return JailedProcess::Spawn(std::move(spec), deadline);
}

Result<sys::UniqueFd> MakeReopenable(sys::UniqueFd file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return sys::ErrnoError(errno, "stat");
  if (::geteuid() != 0 || (status.st_mode & S_IROTH) != 0) return file;
  sys::UniqueFd copy(::memfd_create("pyro", MFD_CLOEXEC));
  if (!copy.valid()) return sys::ErrnoError(errno, "memfd_create");
  off_t offset = 0;
  while (offset < status.st_size) {
    const auto rest = static_cast<std::size_t>(status.st_size - offset);
    const ssize_t count = ::sendfile(copy.get(), file.get(), &offset, rest);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return sys::ErrnoError(count < 0 ? errno : EIO, "copy a boot file");
  }
  if (::fchmod(copy.get(), 0444) != 0) return sys::ErrnoError(errno, "fchmod");
  return copy;
}

std::uint64_t MeasureTscKhz() {
  using Clock = std::chrono::steady_clock;
  // Three spans; the median is not upset by one preemption between the two readings.
  std::array<double, 3> khz{};
  for (double& value : khz) {
    const Clock::time_point start = Clock::now();
    const unsigned long long first = __rdtsc();
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    const Clock::time_point end = Clock::now();
    const unsigned long long last = __rdtsc();
    const auto ns = static_cast<double>(std::chrono::nanoseconds(end - start).count());
    value = static_cast<double>(last - first) * 1e6 / ns;
  }
  std::sort(khz.begin(), khz.end());
  if (khz[0] < 100e3 || khz[2] > 10e6 || khz[2] > khz[0] * 1.2) return 0;
  return static_cast<std::uint64_t>(khz[1] + 0.5);
}

}  // namespace pyro::vmm::qemu
