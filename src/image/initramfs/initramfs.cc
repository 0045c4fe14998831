#include "image/initramfs/initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"
#include "image/store/digest.h"
#include "image/store/install_paths.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormatVersion = "pyro-initramfs 1";  // Changes with what Build writes.
// The number to keep for one environment version: two builds of pyro may run side by side.
constexpr std::size_t kKeep = 3;

// The members of a newc archive, written to a descriptor.
class CpioWriter {
 public:
  static Result<CpioWriter> Create(int fd) {
    CpioWriter writer(archive_write_new());
    if (writer.archive_ == nullptr ||
        archive_write_set_format_cpio_newc(writer.archive_.get()) != ARCHIVE_OK ||
        archive_write_add_filter_none(writer.archive_.get()) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(writer.archive_.get(), 1) != ARCHIVE_OK ||
        archive_write_open_fd(writer.archive_.get(), fd) != ARCHIVE_OK) {
      return writer.Failure();
    }
    return writer;
  }

  Status AddDirectory(const char* name) { return AddHeader(name, AE_IFDIR | 0755, 0, 0); }

  Status AddDevice(const char* name, unsigned major_number, unsigned minor_number) {
    return AddHeader(name, AE_IFCHR | 0600, 0, ::makedev(major_number, minor_number));
  }

  Status AddFile(const std::string& name, unsigned mode, const fs::path& source) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenRegularFile(source, O_RDONLY));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", source.native());
    PYRO_RETURN_IF_ERROR(AddHeader(name.c_str(), AE_IFREG | mode, info.st_size, 0));
    std::vector<char> buffer(1 << 16);
    for (off_t left = info.st_size; left > 0;) {
      const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return sys::ErrnoError(errno, "read", source.native());
      if (n == 0)
        return MakeError(ErrorCode::kDataLoss, fmt::format("'{}' shrank", source.native()));
      const auto size = static_cast<std::size_t>(std::min<off_t>(n, left));
      if (archive_write_data(archive_.get(), buffer.data(), size) != static_cast<la_ssize_t>(size))
        return Failure();
      left -= static_cast<off_t>(size);
    }
    return OkStatus();
  }

  Status Finish() {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return Failure();
    return OkStatus();
  }

 private:
  explicit CpioWriter(archive* handle) : archive_(handle, &archive_write_free) {}

  Error Failure() const {
    const int number = archive_ == nullptr ? ENOMEM : archive_errno(archive_.get());
    return sys::ErrnoError(number == 0 ? EIO : number, "write an initramfs");
  }

  Status AddHeader(const char* name, unsigned mode, off_t size, dev_t device) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              &archive_entry_free);
    if (entry == nullptr) return Failure();
    archive_entry_set_pathname(entry.get(), name);
    archive_entry_set_mode(entry.get(), mode);
    archive_entry_set_size(entry.get(), size);
    archive_entry_set_rdev(entry.get(), device);
    archive_entry_set_mtime(entry.get(), 0, 0);  // The same parts make the same bytes.
    archive_entry_set_nlink(entry.get(), (mode & AE_IFMT) == AE_IFDIR ? 2 : 1);
    archive_entry_set_ino64(entry.get(), ++inode_);
    if (archive_write_header(archive_.get(), entry.get()) != ARCHIVE_OK) return Failure();
    return OkStatus();
  }

  std::unique_ptr<archive, decltype(&archive_write_free)> archive_;
  int inode_ = 0;
};

Status Build(int fd, const InstalledEnvironment& environment, const fs::path& agent) {
  PYRO_ASSIGN_OR_RETURN(CpioWriter writer, CpioWriter::Create(fd));
  for (const char* directory : {"dev", "proc", "sys", "modules"}) {
    PYRO_RETURN_IF_ERROR(writer.AddDirectory(directory));
  }
  PYRO_RETURN_IF_ERROR(writer.AddDevice("dev/console", 5, 1));
  PYRO_RETURN_IF_ERROR(writer.AddDevice("dev/null", 1, 3));
  int number = 0;
  for (const auto& module : environment.modules) {
    const std::string name = fmt::format("modules/{:02}-{}", number++, module.filename().native());
    PYRO_RETURN_IF_ERROR(writer.AddFile(name, 0644, module));
  }
  PYRO_RETURN_IF_ERROR(writer.AddFile("init", 0755, agent));
  return writer.Finish();
}

std::string Key(const InstalledEnvironment& environment, std::string_view agent_digest) {
  std::string text = fmt::format("{}\nagent {}\n", kFormatVersion, agent_digest);
  for (const auto& module : environment.manifest.modules)
    text += fmt::format("{} {}\n", module.name, module.sha256);
  return Sha256Hex(text).substr(0, kShortDigest);
}

// Removes all except the latest few of this version. A failure does no harm: the next call tries
// again.
void RemoveOld(const fs::path& folder, const std::string& prefix) {
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!entry.path().filename().native().starts_with(prefix)) continue;
    const auto time = entry.last_write_time(error);
    if (!error) found.emplace_back(time, entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  for (std::size_t i = kKeep; i < found.size(); ++i) fs::remove(found[i].second, error);
}

Status BuildAtomically(const fs::path& path, const InstalledEnvironment& environment,
                       const fs::path& agent) {
  const fs::path temporary = FreshName(path.parent_path(), kTrashPrefix);
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(temporary, O_RDWR | O_CREAT | O_EXCL, 0444));
  Status built = Build(fd.get(), environment, agent);
  if (built && ::fsync(fd.get()) != 0) built = sys::ErrnoError(errno, "sync", temporary.native());
  if (built && ::rename(temporary.c_str(), path.c_str()) != 0) {
    built = sys::ErrnoError(errno, "rename", temporary.native());
  }
  if (!built) ::unlink(temporary.c_str());
  return built;
}

}  // namespace

Result<fs::path> EnsureInitramfs(const InstalledEnvironment& environment, const fs::path& agent) {
  const fs::path folder = environment.directory.parent_path();
  PYRO_ASSIGN_OR_RETURN(const std::string agent_digest,
                        MemoizedSha256(agent, folder / "agent.sha256"));
  const std::string prefix =
      environment.directory.filename().native() + std::string(kInitramfsInfix);
  const fs::path path = folder / fmt::format("{}{}.cpio", prefix, Key(environment, agent_digest));
  if (::access(path.c_str(), R_OK) == 0) return path;
  PYRO_RETURN_IF_ERROR(BuildAtomically(path, environment, agent));
  RemoveOld(folder, prefix);
  return path;
}

}  // namespace pyro::image
