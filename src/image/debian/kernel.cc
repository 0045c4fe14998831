#include "image/debian/kernel.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/store/build_log.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

// The transport and the console first: a guest that has them can report later failures.
constexpr std::array<const char*, 8> kGuestModules = {
    "virtio_mmio", "virtio_console", "virtio_blk", "virtio_rng",
    "virtio_net",  "virtio_balloon", "erofs",      "overlay"};

Error BadPackage(const fs::path& package, std::string_view what) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("the kernel package '{}' is not usable: {}",
                                                     package.filename().native(), what));
}

Result<std::string> ReleaseOf(const fs::path& package, const fs::path& tree) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(tree / "lib/modules", error)) {
    return entry.path().filename().native();
  }
  return BadPackage(package, "it has no modules");
}

Status Copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (fs::copy_file(from, to, error)) return OkStatus();
  if (error == std::errc::no_space_on_device) {
    return MakeError(ErrorCode::kNoSpace,
                     fmt::format("the disk filled up while copying to '{}'", to.native()));
  }
  return MakeError(ErrorCode::kInternal, fmt::format("copy '{}' to '{}': {}", from.native(),
                                                     to.native(), error.message()));
}

// The number of files in the package, or 0 if it does not say.
std::size_t CountFiles(const ToolPaths& tools, const fs::path& package) {
  const auto sums = Capture(tools, {"dpkg-deb", "--info", package, "md5sums"});
  return sums ? static_cast<std::size_t>(std::count(sums->begin(), sums->end(), '\n')) : 0;
}

Status Unpack(const ToolPaths& tools, const fs::path& package, const fs::path& scratch,
              StepProgress& steps, Cancellation cancel) {
  sys::SpawnOptions options;
  PYRO_ASSIGN_OR_RETURN(const fs::path program, tools.Find("dpkg-deb"));
  options.argv = {program, "--vextract", package, scratch};
  options.env = ToolEnvironment(tools);
  const auto on_line = [&steps](std::string_view name) {
    if (!name.ends_with('/')) steps.Step("unpack " + fs::path(name).filename().native());
  };
  PYRO_ASSIGN_OR_RETURN(const ToolRun run, RunTool(std::move(options), cancel, on_line));
  return run.status.success() ? OkStatus() : ExplainFailure("dpkg-deb", run.tail);
}

Result<std::vector<fs::path>> ModulesInLoadOrder(const ToolPaths& tools, const fs::path& tree,
                                                 const std::string& release, StepProgress& steps,
                                                 Cancellation cancel) {
  PYRO_RETURN_IF_ERROR(Capture(tools, {"depmod", "-b", tree, release}, cancel));
  std::vector<fs::path> ordered;
  for (const char* module : kGuestModules) {
    steps.Step(fmt::format("find {}", module));
    PYRO_ASSIGN_OR_RETURN(
        const std::string shown,
        Capture(tools, {"modprobe", "-d", tree, "-S", release, "--show-depends", module}, cancel));
    for (auto& path : ParseShowDepends(shown)) {
      if (std::find(ordered.begin(), ordered.end(), path) == ordered.end())
        ordered.push_back(std::move(path));
    }
  }
  return ordered;
}

}  // namespace

std::vector<fs::path> ParseShowDepends(std::string_view text) {
  constexpr std::string_view kPrefix = "insmod ";
  constexpr std::string_view kSuffix = ".ko";
  std::vector<fs::path> paths;
  for (auto line : Split(text, '\n')) {
    if (!line.starts_with(kPrefix)) continue;
    line.remove_prefix(kPrefix.size());
    const auto end = line.rfind(kSuffix);  // Module options may follow; the path may hold spaces.
    if (end != std::string_view::npos) paths.emplace_back(line.substr(0, end + kSuffix.size()));
  }
  return paths;
}

Result<KernelFiles> ExtractKernel(const ToolPaths& tools, const fs::path& package,
                                  const fs::path& scratch, const fs::path& version_dir,
                                  const ProgressFn& progress, Cancellation cancel) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(scratch));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(version_dir / "modules"));
  PYRO_ASSIGN_OR_RETURN(
      const std::string fields,
      Capture(tools, {"dpkg-deb", "--show", "--showformat", "${Package}\n${Version}\n", package}));
  const auto lines = Split(fields, '\n');
  if (lines.size() < 2 || lines[0].empty()) return BadPackage(package, "it has no name");
  KernelFiles files;
  files.package = lines[0];
  files.package_version = lines[1];
  const std::size_t count = CountFiles(tools, package);
  StepProgress steps(progress, "kernel", count == 0 ? 0 : count + kGuestModules.size());
  PYRO_RETURN_IF_ERROR(Unpack(tools, package, scratch, steps, cancel));
  PYRO_ASSIGN_OR_RETURN(files.release, ReleaseOf(package, scratch));
  PYRO_RETURN_IF_ERROR(
      Copy(scratch / "boot" / ("vmlinuz-" + files.release), version_dir / "vmlinuz"));
  PYRO_ASSIGN_OR_RETURN(const auto modules,
                        ModulesInLoadOrder(tools, scratch, files.release, steps, cancel));
  for (const auto& module : modules) {
    PYRO_RETURN_IF_ERROR(Copy(module, version_dir / "modules" / module.filename()));
    files.modules.push_back(module.filename());
  }
  if (files.modules.empty())
    return BadPackage(package, "it has none of the modules that a guest needs");
  return files;
}

}  // namespace pyro::image
