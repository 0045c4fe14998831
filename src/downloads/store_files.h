// The files of a store, opened from directory to directory. A proxy writes there from its jail, and
// this user reads and removes there outside of one: no link that it left is followed.

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"
#include "sys/file_lock.h"
#include "sys/unique_fd.h"

namespace pyro::downloads {

// An entry, a content or a partial download: a regular file with one of our names.
struct StoreFile {
  std::string folder;  // "index/ab"
  std::string name;
  std::int64_t time_s = 0;  // Of its last change.
  std::uint64_t bytes = 0;  // As the disk counts it.
};

class StoreFiles {
 public:
  // kNotFound: there is no store. `root` itself may be reached by links: it belongs to the user.
  static Result<StoreFiles> Open(const std::filesystem::path& root);

  // nullopt: another process holds it, or it is no file of ours. `create`: makes it if need be.
  Result<std::optional<sys::FileLock>> TryLock(const char* name, sys::FileLock::Mode mode,
                                               bool create) const;

  // Of "index" or "content", two folders deep, or of "partial". What has another name, or is no
  // regular file, is left out.
  std::vector<StoreFile> List(std::string_view top) const;

  // nullopt: it is not there any more, too long, or no regular file.
  std::optional<std::string> Read(const StoreFile& file, std::size_t max_bytes) const;

  // False: it was not there.
  bool Remove(const StoreFile& file) const;

 private:
  explicit StoreFiles(sys::UniqueFd root) : root_(std::move(root)) {}
  sys::UniqueFd Folder(std::string_view path) const;

  sys::UniqueFd root_;
};

}  // namespace pyro::downloads
