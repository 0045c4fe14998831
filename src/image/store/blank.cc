#include "image/store/blank.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"
#include "image/store/install_paths.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlankMiB = 1 << 20;

Status MakeFilesystem(const ToolPaths& tools, const fs::path& image, std::uint64_t size,
                      const std::vector<std::string>& options) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(image, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return sys::ErrnoError(errno, "make", image.native());
  }
  // A small journal: a guest's writes are lost with the guest, or synced by it. No reserved blocks:
  // only root writes here.
  std::vector<std::string> argv = {"mke2fs",
                                   "-q",
                                   "-F",
                                   "-t",
                                   "ext4",
                                   "-b",
                                   "4096",
                                   "-m",
                                   "0",
                                   "-J",
                                   "size=8",
                                   "-E",
                                   "assume_storage_prezeroed=1,root_owner=0:0,nodiscard"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(image);
  PYRO_RETURN_IF_ERROR(Capture(tools, std::move(argv)));
  if (::fchmod(fd.get(), 0400) != 0) return sys::ErrnoError(errno, "chmod", image.native());
  if (::fsync(fd.get()) != 0) return sys::ErrnoError(errno, "sync", image.native());
  return OkStatus();
}

}  // namespace

Result<fs::path> EnsureBlankDisk(const fs::path& cache_dir, std::uint64_t size,
                                 const ToolPaths& tools) {
  if (size < kMinBlankBytes || size > kMaxBlankBytes || size % kBlankMiB != 0) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("a disk cannot have {} bytes", size),
                     "choose a multiple of 1 MiB from 64 MiB to 1 TiB");
  }
  const fs::path folder = fs::absolute(cache_dir) / "blank";
  const fs::path path = folder / fmt::format("ext4-1-{}m.img", size / kBlankMiB);
  if (::access(path.c_str(), R_OK) == 0) return path;
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(folder));
  const fs::path temporary = FreshName(folder, kTrashPrefix);
  Status made = MakeFilesystem(tools, temporary, size, {"-O", "^resize_inode"});
  if (made && ::rename(temporary.c_str(), path.c_str()) != 0)
    made = sys::ErrnoError(errno, "rename", path.native());
  if (!made) {
    ::unlink(temporary.c_str());
    return std::move(made).error();
  }
  return path;
}

Status MakeImageDisk(const fs::path& file, std::uint64_t size, std::uint64_t inodes,
                     const ToolPaths& tools) {
  // An attribute of an image may be larger than a block.
  return MakeFilesystem(tools, file, size,
                        {"-O", "^resize_inode,ea_inode", "-N", fmt::format("{}", inodes)});
}

}  // namespace pyro::image
