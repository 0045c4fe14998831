#include "image/store/install.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/time.h"
#include "base/try.h"
#include "image/store/digest.h"
#include "image/store/install_paths.h"
#include "image/store/names.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/sparse_copy.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

struct NamedFile {
  fs::path path;
  FileRecord* record;
};

std::vector<NamedFile> Files(const fs::path& directory, Manifest& manifest) {
  std::vector<NamedFile> files = {{directory / manifest.base.name, &manifest.base},
                                  {directory / manifest.kernel.name, &manifest.kernel}};
  for (auto& layer : manifest.layers) files.push_back({directory / layer.name, &layer});
  for (auto& module : manifest.modules)
    files.push_back({directory / "modules" / module.name, &module});
  return files;
}

Status SealFile(const NamedFile& file) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenRegularFile(file.path, O_RDONLY | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", file.path.native());
  // The builder has hashed and synced it.
  if (!file.record->sha256.empty()) return OkStatus();
  file.record->size = static_cast<std::uint64_t>(info.st_size);
  PYRO_ASSIGN_OR_RETURN(file.record->sha256, Sha256OfFile(fd.get(), file.path));
  if (::fchmod(fd.get(), 0444) != 0) return sys::ErrnoError(errno, "chmod", file.path.native());
  if (::fsync(fd.get()) != 0) return sys::ErrnoError(errno, "sync", file.path.native());
  return OkStatus();
}

// Swaps the two when `to` exists.
Status MoveOrSwap(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0)
    return OkStatus();
  if (errno == EEXIST &&
      ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    return OkStatus();
  }
  return sys::ErrnoError(errno, "rename", to.native());
}

Status PointCurrentAt(const fs::path& folder, const std::string& version) {
  const fs::path link = FreshName(folder, kTrashPrefix);
  if (::symlink(version.c_str(), link.c_str()) != 0)
    return sys::ErrnoError(errno, "symlink", link.native());
  if (::rename(link.c_str(), (folder / kCurrentName).c_str()) != 0) {
    const int number = errno;
    ::unlink(link.c_str());
    return sys::ErrnoError(number, "rename", link.native());
  }
  return OkStatus();
}

}  // namespace

bool IsVersionName(std::string_view name) {
  return name.size() == kShortDigest && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

fs::path FreshName(const fs::path& directory, std::string_view prefix) {
  std::string name(prefix);
  for (const unsigned char byte : sys::RandomBytes(8)) name += fmt::format("{:02x}", byte);
  return directory / name;
}

Result<InstalledEnvironment> LoadVersion(std::string_view name, const fs::path& directory) {
  auto text = sys::ReadFile(directory / kManifestName, kMaxManifestBytes);
  if (!text) {
    struct stat info {};
    if (::lstat(directory.c_str(), &info) != 0 && errno == ENOENT) return NotInstalled(name);
    return BrokenEnvironment(name, text.error().message);
  }
  InstalledEnvironment installed;
  auto parsed = ParseManifest(*text);
  if (!parsed) {
    Error error = std::move(parsed).error();
    error.hint = BrokenEnvironment(name, {}).hint;
    return error;
  }
  installed.manifest = std::move(*parsed);
  Manifest& manifest = installed.manifest;
  installed.digest = ContentDigest(manifest);
  if (manifest.environment != name)
    return BrokenEnvironment(name, "its manifest is of another environment");
  if (directory.filename() != installed.digest.substr(0, kShortDigest)) {
    return BrokenEnvironment(name, "its manifest is of another version");
  }
  for (const auto& file : Files(directory, manifest)) {
    struct stat info {};
    if (::lstat(file.path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return BrokenEnvironment(name, fmt::format("'{}' is missing", file.record->name));
    }
    if (static_cast<std::uint64_t>(info.st_size) != file.record->size) {
      return BrokenEnvironment(name, fmt::format("'{}' has the wrong size", file.record->name));
    }
    installed.size_bytes += file.record->size;
  }
  installed.name = name;
  installed.directory = directory;
  installed.base_image = directory / manifest.base.name;
  for (const auto& layer : manifest.layers) {
    installed.layer_images.push_back(directory / layer.name);
  }
  installed.kernel = directory / manifest.kernel.name;
  for (const auto& module : manifest.modules)
    installed.modules.push_back(directory / "modules" / module.name);
  return installed;
}

Status VerifyDigests(const InstalledEnvironment& environment) {
  Manifest manifest = environment.manifest;
  for (const auto& file : Files(environment.directory, manifest)) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                          sys::OpenRegularFile(file.path, O_RDONLY | O_NOFOLLOW));
    PYRO_ASSIGN_OR_RETURN(const std::string digest, Sha256OfFile(fd.get(), file.path));
    if (digest != file.record->sha256) {
      return BrokenEnvironment(environment.name,
                               fmt::format("'{}' has the wrong content", file.record->name));
    }
  }
  return OkStatus();
}

Status SealVersion(const fs::path& directory, Manifest& manifest) {
  for (const auto& file : Files(directory, manifest)) PYRO_RETURN_IF_ERROR(SealFile(file));
  manifest.built_at = FormatTime(
      std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()));
  return WriteManifest(directory, manifest);
}

Status WriteManifest(const fs::path& directory, const Manifest& manifest) {
  PYRO_RETURN_IF_ERROR(
      sys::WriteFileAtomically(directory / kManifestName, FormatManifest(manifest), 0444));
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(directory / "modules"));
  return sys::SyncDirectory(directory);
}

namespace {

// The same bytes under another name: without a copy where the system allows it.
Status LinkOrCopy(const fs::path& from, const fs::path& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return OkStatus();
  if (errno != EXDEV && errno != EPERM && errno != EMLINK) {
    return sys::ErrnoError(errno, "link", from.native());
  }
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd copied, sys::CloneSparse(from, to));
  return OkStatus();
}

}  // namespace

Status ShareFiles(const InstalledEnvironment& from, SharedFiles what, const fs::path& directory) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory / "modules"));
  PYRO_RETURN_IF_ERROR(LinkOrCopy(from.kernel, directory / from.kernel.filename()));
  for (const auto& module : from.modules) {
    PYRO_RETURN_IF_ERROR(LinkOrCopy(module, directory / "modules" / module.filename()));
  }
  if (what == SharedFiles::kKernel) return OkStatus();
  for (const auto& layer : from.layer_images) {
    PYRO_RETURN_IF_ERROR(LinkOrCopy(layer, directory / layer.filename()));
  }
  return LinkOrCopy(from.base_image, directory / from.base_image.filename());
}

Result<fs::path> Activate(const fs::path& folder, const fs::path& sealed,
                          const Manifest& manifest) {
  const std::string version = ContentDigest(manifest).substr(0, kShortDigest);
  PYRO_RETURN_IF_ERROR(MoveOrSwap(sealed, folder / version));
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(folder));
  PYRO_RETURN_IF_ERROR(PointCurrentAt(folder, version));
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(folder));
  return folder / version;
}

Result<fs::path> CurrentVersion(const fs::path& folder) {
  std::error_code error;
  const fs::path target = fs::read_symlink(folder / kCurrentName, error);
  if (error == std::errc::no_such_file_or_directory) {
    return MakeError(ErrorCode::kNotFound, "no version is installed");
  }
  if (error || !IsVersionName(target.native())) {
    return MakeError(ErrorCode::kDataLoss, fmt::format("'{}' is not a link to a version",
                                                       (folder / kCurrentName).native()));
  }
  return folder / target;
}

}  // namespace pyro::image
