// The steps of a change of many files, and the note of them that lets it be undone after its
// process or the whole guest has died. The note is in a directory of the data disk that no name of
// the guest reaches. A change counts when its note says that it is finished; before, it is undone.

#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

enum class ChangeKind : char {
  kReplace = 'r',        // The thing in the slot and the one at the path change places.
  kCreate = 'c',         // The thing in the slot comes to the path, where nothing may be.
  kMakeDirectory = 'm',  // The same with an empty directory.
  kRemove = 'd',         // What is at the path goes into the slot, which is empty.
};

struct ChangeStep {
  ChangeKind kind = ChangeKind::kCreate;
  std::size_t slot = 0;     // The name in the staging directory.
  std::string path;         // From the changed directory on.
  std::uint64_t inode = 0;  // Of what is in the slot before a kReplace or kCreate.
};

// The directory that is changed, and the one in it with the slots.
struct ChangePlace {
  sys::UniqueFd root;
  sys::UniqueFd staging;
  std::string name;  // Of the staging directory, within `root`.
};

// Opens a path below a directory; no symbolic link is followed. Not valid, with an errno, if that
// fails: ELOOP for a link. "" is the directory.
sys::UniqueFd OpenUnder(int directory, const std::string& path, int flags);

// The directory part of a path, "" for none, and the name behind it.
std::pair<std::string, std::string> ParentAndName(const std::string& path);

// What is at a name of the directory; a link is not followed.
std::optional<struct stat> StatAt(int directory, const std::string& name);

// One rename. `expected`: what is at the path of a kReplace or kRemove; the step fails with ESTALE
// if another thing is there, or that one has changed, and may then have to be undone. EEXIST:
// something is in the way. Directories that go may hold directories alone, else ENOTEMPTY.
Status TakeStep(const ChangePlace& place, const ChangeStep& step,
                const std::optional<struct stat>& expected);

// A step that was taken and could not be taken back, since another program has moved its directory
// away.
struct LeftStep {
  std::string path;
  std::size_t slot = 0;
  bool holds_old = false;  // The slot has what was at the path.
};

// Takes steps back, the last one first, whether they were taken or not. What another program has
// put into a place meanwhile stays.
std::vector<LeftStep> UndoSteps(const ChangePlace& place, const std::vector<ChangeStep>& steps);

// The error of an undoing that left steps. `root` is absolute.
Error NotUndone(const std::string& root, const std::string& staging,
                const std::vector<LeftStep>& left);

// True if the staging directory has to stay.
bool HoldsOld(const std::vector<LeftStep>& left);

// Removes the staging directory with what it holds.
void RemoveStaging(const ChangePlace& place);

// Removes directories that are empty, of those above files that steps have removed.
void RemoveEmptied(const ChangePlace& place, const std::vector<ChangeStep>& steps);

// The note of one change. As long as the object lives, the change is under way and no other process
// undoes it.
class ChangeLog {
 public:
  // `data`: the data disk's own directory, borrowed. `root`: absolute, without symbolic links.
  static Result<ChangeLog> Begin(int data, const std::string& root, const std::string& staging,
                                 bool removes_emptied);

  // Before the first step. When it returns, the note is on disk.
  Status Write(const std::vector<ChangeStep>& steps);
  // From now on the change counts.
  Status Finish();
  // After all is cleaned up.
  void Remove();

 private:
  ChangeLog(sys::UniqueFd directory, sys::UniqueFd file, std::string name)
      : directory_(std::move(directory)), file_(std::move(file)), name_(std::move(name)) {}

  sys::UniqueFd directory_;  // Of all notes.
  sys::UniqueFd file_;       // Locked.
  std::string name_;
};

// Undoes what changes have done whose process is gone, and cleans up after those that are finished.
// Several threads and processes may do this at once. Returns the first error of NotUndone(), which
// no later call has again.
std::optional<Error> RecoverChanges(int data);

// The same for an agent: it says that error on the console.
void RecoverChangesOfDead(int data);

}  // namespace pyro::agent
