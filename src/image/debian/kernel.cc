#include "image/debian/kernel.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/store/build_log.h"
#include "sys/errno_error.h"
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

// A package has its modules below lib or, since Debian 13, below usr/lib, and kmod looks in one of
// the two: both names lead to them.
Status LinkModules(const fs::path& package, const fs::path& tree) {
  const fs::path folders[] = {tree / "lib/modules", tree / "usr/lib/modules"};
  std::error_code error;
  const int real = fs::is_directory(folders[0], error) ? 0 : 1;
  if (!fs::is_directory(folders[real], error)) return BadPackage(package, "it has no modules");
  const fs::path& other = folders[1 - real];
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(other.parent_path()));
  fs::create_directory_symlink(folders[real].lexically_relative(other.parent_path()), other, error);
  return error ? sys::ErrnoError(error.value(), "symlink", other.native()) : OkStatus();
}

Result<std::string> ReleaseOf(const fs::path& package, const fs::path& tree) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(tree / "lib/modules", error)) {
    return entry.path().filename().native();
  }
  return BadPackage(package, "it has no modules");
}

Error DiskFilledUp(const fs::path& to) {
  return MakeError(ErrorCode::kNoSpace,
                   fmt::format("the disk filled up while copying to '{}'", to.native()));
}

Status Copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (fs::copy_file(from, to, error)) return OkStatus();
  if (error == std::errc::no_space_on_device) return DiskFilledUp(to);
  return MakeError(ErrorCode::kInternal, fmt::format("copy '{}' to '{}': {}", from.native(),
                                                     to.native(), error.message()));
}

// Debian compresses modules since 13. Doing it here spares every boot of a guest doing it.
Status Decompress(const fs::path& package, const fs::path& from, const fs::path& to) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd source, sys::OpenFile(from, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd target,
                        sys::OpenFile(to, O_WRONLY | O_CREAT | O_EXCL, 0644));
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(),
                                                                      &archive_read_free);
  if (reader == nullptr) return sys::ErrnoError(ENOMEM, "read", from.native());
  archive_entry* entry = nullptr;
  if (archive_read_append_filter(reader.get(), ARCHIVE_FILTER_XZ) == ARCHIVE_OK &&
      archive_read_support_format_raw(reader.get()) == ARCHIVE_OK &&
      archive_read_open_fd(reader.get(), source.get(), 1 << 16) == ARCHIVE_OK &&
      archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK &&
      archive_read_data_into_fd(reader.get(), target.get()) == ARCHIVE_OK) {
    return OkStatus();
  }
  if (archive_errno(reader.get()) == ENOSPC) return DiskFilledUp(to);
  return BadPackage(package, fmt::format("its '{}' is damaged", from.filename().native()));
}

// The file's name in the guest: without the suffix of its compression.
Result<std::string> AddModule(const fs::path& package, const fs::path& module,
                              const fs::path& folder) {
  if (module.extension() != ".xz") {
    PYRO_RETURN_IF_ERROR(Copy(module, folder / module.filename()));
    return module.filename().native();
  }
  PYRO_RETURN_IF_ERROR(Decompress(package, module, folder / module.stem()));
  return module.stem().native();
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

// depmod obeys the umask of this process, and every user of a guest may read the indices.
Status OpenIndices(const fs::path& folder) {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    if (file.symlink_status(error).type() != fs::file_type::regular) continue;
    fs::permissions(file, fs::perms::group_read | fs::perms::others_read, fs::perm_options::add,
                    error);
    if (error) break;
  }
  return error ? sys::ErrnoError(error.value(), "chmod", folder.native()) : OkStatus();
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
  std::vector<fs::path> paths;
  for (auto line : Split(text, '\n')) {
    if (!line.starts_with(kPrefix)) continue;
    line.remove_prefix(kPrefix.size());
    // Module options may follow; the path may hold spaces.
    const auto end = line.rfind(".ko");
    if (end == std::string_view::npos) continue;
    paths.emplace_back(line.substr(0, line.find(' ', end)));
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
  PYRO_RETURN_IF_ERROR(LinkModules(package, scratch));
  PYRO_ASSIGN_OR_RETURN(files.release, ReleaseOf(package, scratch));
  PYRO_RETURN_IF_ERROR(
      Copy(scratch / "boot" / ("vmlinuz-" + files.release), version_dir / "vmlinuz"));
  PYRO_ASSIGN_OR_RETURN(const auto modules,
                        ModulesInLoadOrder(tools, scratch, files.release, steps, cancel));
  for (const auto& module : modules) {
    PYRO_ASSIGN_OR_RETURN(std::string name, AddModule(package, module, version_dir / "modules"));
    files.modules.push_back(std::move(name));
  }
  if (files.modules.empty())
    return BadPackage(package, "it has none of the modules that a guest needs");
  files.tree = scratch / "lib/modules" / files.release;
  PYRO_RETURN_IF_ERROR(OpenIndices(files.tree));
  return files;
}

}  // namespace pyro::image
