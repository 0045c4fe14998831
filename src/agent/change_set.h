// Many files of one directory that change as one: if the process, the agent or the guest dies, then
// all of them are old or all are new, at the latest when the guest has started again. Other
// programs of the guest see each file old or new, one after the other.
//
// New content is staged in a directory of its own, on disk, before the first file changes. Then a
// rename for each file brings it into its place, and the old one out. A file that is not as Look()
// saw it undoes all of that.

#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/change_log.h"
#include "pyro/result.h"

namespace pyro::agent {

// Belongs to one thread. Paths are relative to the directory, without empty parts, "." and "..". No
// symbolic link in them is followed: one is an error with ELOOP. Errors have an errno and the
// absolute path that they are about: EXDEV for a path on another mount, ESTALE for one that another
// program has changed.
class ChangeSet {
 public:
  struct Options {
    bool removes_emptied = false;  // Also directories from which the last file went.
  };

  // `directory` has to be there; links in it are followed. `data`: the data disk's own directory,
  // borrowed. Changes of processes that have died are undone first; if that is not possible, the
  // error of NotUndone() says so once.
  static Result<ChangeSet> Begin(const std::string& directory, int data, const Options& options);

  ChangeSet(ChangeSet&&) = default;
  ChangeSet& operator=(ChangeSet&&) = delete;
  // Without Commit() nothing has changed.
  ~ChangeSet();

  const std::string& directory() const { return directory_; }

  // What is at a path; nullopt: nothing. The changes below look at theirs themselves; a caller who
  // did so before them has the answer of that time checked.
  Result<std::optional<struct stat>> Look(const std::string& path);

  // The content of a file that Look() found, or where a link leads. EFBIG: more than `most` bytes.
  Result<std::string> Read(const std::string& path, std::size_t most);

  // One change for each path, in any order. Missing directories above it are made; what is in the
  // way has to be removed too. `fill` writes the content to a descriptor. `mode`: the permissions;
  // 0: as they were, or 0644. The owner is that of the old file, or of the directory.
  using Fill = std::function<Status(int)>;
  Status PutFile(const std::string& path, std::int64_t mode, const Fill& fill);
  Status PutLink(const std::string& path, const std::string& target);
  // One that is there is no change.
  Status MakeDirectory(const std::string& path, std::int64_t mode);
  // A file, a link, or a directory of which nothing but directories is left. Nothing there: ENOENT.
  Status Remove(const std::string& path);

  // All of it or, with an error, nothing. kConflict without an errno: another program has moved a
  // directory away meanwhile, and the old content of its files is where the hint says.
  Status Commit();

 private:
  ChangeSet(std::string directory, int data, const Options& options)
      : directory_(std::move(directory)), data_(data), options_(options) {}

  // The owner that new things in a directory get.
  struct Owner {
    uid_t uid;
    gid_t gid;
  };

  Error About(Error error, const std::string& path) const;
  Status Stage();
  // Makes the directory and those above it, if they are not there.
  Result<Owner> Enter(const std::string& path);
  Result<Owner> PlanDirectory(const std::string& path, std::int64_t mode);
  Result<std::size_t> Plan(ChangeKind kind, const std::string& path);
  Status TakeAll(const std::vector<ChangeStep>& steps);
  Status FinishPut(const std::string& path, std::size_t slot, bool replaces);

  std::string directory_;  // Absolute, without symbolic links.
  int data_;
  Options options_;
  ChangePlace place_;
  bool keeps_staging_ = false;  // It has old content that could not be put back.
  std::uint64_t mount_ = 0;
  std::optional<ChangeLog> log_;  // From the first change on.
  std::map<std::string, std::optional<struct stat>> seen_;
  std::map<std::string, Owner> directories_;    // That are there, or will be.
  std::map<std::string, std::size_t> removed_;  // Path and slot.
  std::vector<ChangeStep> steps_;
};

}  // namespace pyro::agent
