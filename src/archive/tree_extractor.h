// Entries of a hostile stream as files below one directory.

#pragma once

#include <functional>
#include <string>

#include "archive/extract.h"
#include "archive/meter.h"
#include "archive/tar.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::archive {

// Goes from directory to directory by descriptor and through no link. No other process may write to
// the tree meanwhile. Not thread-safe.
class TreeExtractor {
 public:
  // All borrowed. `root` is empty; errors of the system name it as `where`. Directories have mode
  // 0700 until ApplyDirectories().
  TreeExtractor(int root, std::string where, TarReader& reader, Meter& meter,
                DirectoryStates& directories)
      : root_(root),
        where_(std::move(where)),
        reader_(reader),
        meter_(meter),
        directories_(directories) {}

  // To the end of the stream.
  Status Run();

 private:
  Status Add(const Entry& entry);
  Status AddRegular(int parent, const std::string& leaf, const Entry& entry);
  Status AddSymlink(int parent, const std::string& leaf, const Entry& entry);
  Status AddHardLink(const std::string& name, const Entry& entry);
  Status AddDirectory(const std::string& name, const Entry& entry);

  // The directory of `name`, made if it is missing; valid until the next call.
  Result<int> OpenParent(const std::string& name);
  Result<int> OpenDirectory(const std::string& name);
  Status MakeDirectory(int parent, const std::string& leaf, const std::string& name);
  Status Clear(int parent, const std::string& leaf, const std::string& name);
  Error Failure(int number, std::string_view operation, const std::string& name) const;

  const int root_;
  const std::string where_;
  TarReader& reader_;
  Meter& meter_;
  DirectoryStates& directories_;
  std::size_t kept_bytes_ = 0;  // Of names in directories_.
  std::string open_name_;
  sys::UniqueFd open_;  // The directory open_name_; invalid: none.
};

// The content, mode and time of a regular file, into a new and empty one.
Status ExtractContent(int fd, const Entry& entry, TarReader& reader, const std::string& where);

// Gives the directories below `root`, and it itself, their modes and times.
Status ApplyDirectories(int root, const DirectoryStates& directories, const std::string& where);

// Moves a directory to its place by `rename`, which sets errno. Those below it, and it itself, have
// their modes and times before, so that a kill leaves no other; only one that its user may not read
// or write gets its own right after. `directory` is it, open; `name` is its name in `directories`,
// from which all of them go.
Status PlaceDirectory(int directory, const std::string& name, DirectoryStates& directories,
                      const std::string& where, const std::function<bool()>& rename);

}  // namespace pyro::archive
