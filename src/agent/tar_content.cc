#include "agent/tar_content.h"

#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <vector>

#include "agent/file_work.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

Status CopyTarBytes(TarInput& input, int in, int fd, std::int64_t bytes, const std::string& path) {
  while (bytes > 0) {
    if (bytes >= kLargeContent && input.AtSource()) {
      PYRO_ASSIGN_OR_RETURN(const std::int64_t copied, CopyBytes(in, fd, bytes, path));
      input.TookAtSource(copied);
      return copied == bytes ? OkStatus() : Status(FileError(EPROTO, path));
    }
    const auto piece = input.Content(bytes);
    if (!piece) return FileError(piece.error().sys_errno, path);
    const Status wrote = sys::WriteAll(fd, *piece);
    if (!wrote) return FileError(wrote.error().sys_errno, path);
    bytes -= static_cast<std::int64_t>(piece->size());
  }
  return OkStatus();
}

}  // namespace

Result<std::string> CleanName(const std::string& name) {
  if (name.starts_with('/')) return FileError(EPROTO, name);
  std::string clean;
  for (const std::string_view part : Split(name, '/')) {
    if (part == "..") return FileError(EPROTO, name);
    if (part.empty() || part == ".") continue;
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

std::string ParentOf(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return slash == name.npos ? "" : name.substr(0, slash);
}

std::string LeafOf(const std::string& name) { return name.substr(name.rfind('/') + 1); }

TarInput::Source TarSource(int in, const std::string& path) {
  return [in, path](char* to, std::size_t most) -> Result<std::size_t> {
    ssize_t n;
    do {
      n = ::read(in, to, most);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return FileErrno(path);
    return static_cast<std::size_t>(n);
  };
}

Status WriteTarContent(TarInput& input, int in, int fd, const TarEntry& entry,
                       const std::string& path) {
  const std::vector<sys::FileRange> whole = {{0, entry.size}};
  std::int64_t position = 0;
  for (const sys::FileRange& range : entry.data ? *entry.data : whole) {
    if (range.offset != position && ::lseek(fd, range.offset, SEEK_SET) < 0) return FileErrno(path);
    PYRO_RETURN_IF_ERROR(CopyTarBytes(input, in, fd, range.length, path));
    position = range.offset + range.length;
  }
  // A hole at the end is still missing.
  if (position < entry.size && ::ftruncate(fd, entry.size) != 0) return FileErrno(path);
  return OkStatus();
}

}  // namespace pyro::agent
