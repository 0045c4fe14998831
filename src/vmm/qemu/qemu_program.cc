#include "vmm/qemu/qemu_program.h"

#include <cpuid.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/try.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/process_state.h"
#include "vmm/qemu/argv.h"

// In private_memory_blob.S: the library built from private_memory.cc.
extern "C" const char kPrivateMemory[];
extern "C" const char kPrivateMemoryEnd[];

namespace pyro::vmm::qemu {
namespace {

constexpr char kQemuHint[] = "install it: apt-get install qemu-system-x86";
constexpr char kPreloadPath[] = "/vm/private-memory.so";

// Firmware, and the one module that distributions may have split off. QEMU finds them by these
// paths.
const std::array<std::filesystem::path, 6> kQemuFiles = {
    "/usr/share/qemu",
    "/usr/share/seabios",
    "/usr/lib/ipxe/qemu",
    "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so",
    "/usr/lib64/qemu/accel-tcg-x86_64.so",
    "/usr/lib/qemu/accel-tcg-x86_64.so"};

Result<sys::UniqueFd> PreloadLibrary() {
  return sys::MakeMemoryFile(
      {kPrivateMemory, static_cast<std::size_t>(kPrivateMemoryEnd - kPrivateMemory)});
}

// The processor as its own instruction tells it: model, features, and rates where it knows them.
// The guest's clock counts in them, and under KVM it has its features.
std::string ProcessorKey() {
  std::string text;
  for (const unsigned leaf : {0u, 1u, 7u, 0x15u, 0x16u, 0x40000010u, 0x80000001u, 0x80000002u,
                              0x80000003u, 0x80000004u}) {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (static_cast<unsigned>(__get_cpuid_max(leaf & 0xf0000000u, nullptr)) >= leaf)
      __cpuid_count(leaf, 0, a, b, c, d);
    // Skipped: the number of this processor, and the features that the kernel enabled for a
    // process.
    if (leaf == 1) {
      b = 0;
      c &= ~(1u << 27);
    }
    text += fmt::format("{:x}.{:x}.{:x}.{:x} ", a, b, c, d);
  }
  return text;
}

}  // namespace

Result<std::filesystem::path> FindQemu() {
  return sys::FindProgram("qemu-system-x86_64", kQemuHint);
}

Result<jail::JailedProcess> LaunchQemu(QemuLaunch launch, Deadline deadline) {
  jail::JailSpec spec;
  spec.argv = std::move(launch.argv);
  spec.pass = std::move(launch.pass);
  spec.read_only.assign(kQemuFiles.begin(), kQemuFiles.end());
  spec.identity = std::move(launch.identity);
  if (launch.accelerator == Accelerator::kKvm) {
    spec.devices.push_back({.source = launch.kvm_device, .target = "/dev/kvm"});
  }
  spec.aliases = std::move(launch.files);
  if (!launch.private_memory.empty()) {
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd preload, PreloadLibrary());
    spec.copies.push_back({.content = std::move(preload), .target = kPreloadPath});
    spec.env = {std::string("LD_PRELOAD=") + kPreloadPath,
                "PYRO_PRIVATE_MEMORY=" + launch.private_memory};
  }
  return jail::JailedProcess::Spawn(std::move(spec), deadline);
}

Result<std::string> FrozenMachineKey(const std::filesystem::path& program,
                                     const MachineSpec& spec) {
  struct stat status {};
  if (::stat(program.c_str(), &status) != 0) {
    return sys::ErrnoError(errno, "stat", program.native());
  }
  MachineFiles files;
  files.monitor = files.channel = files.console = files.data_disk = files.state = 0;
  if (spec.network) files.network = 0;
  files.kernel.path = files.initrd.path = files.base_disk.path = files.memory.path = "file";
  return fmt::format("qemu {} {} {}.{:09} {}\ncpu {}\nmachine {}\n", program.native(),
                     status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ino,
                     ProcessorKey(),
                     fmt::join(MachineArguments(program, spec, files, TimeStampCounter{}), " "));
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
