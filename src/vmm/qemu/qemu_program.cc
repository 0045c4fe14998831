#include "vmm/qemu/qemu_program.h"

#include <cpuid.h>
#include <fcntl.h>
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

#include "base/text.h"
#include "base/try.h"
#include "jail/confine.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/process_state.h"
#include "vmm/qemu/argv.h"

// In preload_blob.S: the library built from preload.cc.
extern "C" const char kPreload[];
extern "C" const char kPreloadEnd[];

namespace pyro::vmm::qemu {
namespace {

// QEMU 8.1 locks a page before it translates code from it. An older one may run code for ever that
// another processor of the guest was changing then, as a kernel does to itself.
constexpr int kSafeThreads = 801;
constexpr std::chrono::seconds kVersionPatience{10};
constexpr char kQemuHint[] = "install it: apt-get install qemu-system-x86";
// Beyond the guest's memory: QEMU itself, and what it may keep of translated code.
constexpr int kEmulatorMib = 512;
constexpr int kTranslatorMib = 1536;
// Processors, and up to 64 workers.
constexpr int kThreads = 256;
constexpr char kPreloadPath[] = "/vm/preload.so";

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
  return sys::MakeMemoryFile({kPreload, static_cast<std::size_t>(kPreloadEnd - kPreload)});
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
  PYRO_ASSIGN_OR_RETURN(spec.filter, jail::EmulatorFilter());
  if (launch.memory_mib != 0) {
    const bool translates = launch.accelerator != Accelerator::kKvm;
    spec.bounds = {
        .memory_bytes = static_cast<std::uint64_t>(launch.memory_mib +
                                                   (translates ? kTranslatorMib : kEmulatorMib))
                        << 20,
        .processes = kThreads,
        .cpu_percent = 100 * (launch.vcpus + 1),
        .niceness = kGuestNiceness};
  }
  if (launch.accelerator == Accelerator::kKvm) {
    // As this user: the jail's may be another one, which has no right to the device.
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd kvm, sys::OpenFile(launch.kvm_device, O_RDWR));
    spec.pass.push_back(std::move(kvm));
    spec.env.push_back(fmt::format("PYRO_KVM={}", 2 + spec.pass.size()));
  }
  spec.aliases = std::move(launch.files);
  if (!launch.private_memory.empty()) {
    spec.env.push_back("PYRO_PRIVATE_MEMORY=" + launch.private_memory);
  }
  if (!spec.env.empty()) {
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd preload, PreloadLibrary());
    spec.copies.push_back({.content = std::move(preload), .target = kPreloadPath});
    spec.env.push_back(std::string("LD_PRELOAD=") + kPreloadPath);
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
  return fmt::format(
      "qemu {} {} {}.{:09} {}\ncpu {}\nmachine {}\n", program.native(), status.st_size,
      status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ino, ProcessorKey(),
      fmt::join(MachineArguments(program, spec, files, {.threads = ThreadsFor(program, spec)}),
                " "));
}

std::optional<int> ParseQemuVersion(std::string_view text) {
  constexpr std::string_view kBefore = "QEMU emulator version ";
  if (!text.starts_with(kBefore)) return std::nullopt;
  const std::vector<std::string_view> parts = Split(text.substr(kBefore.size()), '.');
  if (parts.size() < 2) return std::nullopt;
  const auto major = ParseInt(parts[0]);
  const auto minor = ParseInt(parts[1].substr(0, parts[1].find_first_not_of("0123456789")));
  if (!major || !minor || *major > 1000 || *minor > 99) return std::nullopt;
  return static_cast<int>(100 * *major + *minor);
}

TranslatingThreads ThreadsFor(const std::filesystem::path& program, const MachineSpec& spec) {
  if (spec.accelerator != Accelerator::kTcg || spec.vcpus == 1) return TranslatingThreads::kOne;
  sys::SpawnOptions options;
  options.argv = {program, "--version"};
  const auto output = sys::RunCommand(std::move(options), Deadline::After(kVersionPatience), 4096);
  const auto version = output ? ParseQemuVersion(output->stdout_text) : std::nullopt;
  return version.value_or(0) >= kSafeThreads ? TranslatingThreads::kOneForEach
                                             : TranslatingThreads::kOne;
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
