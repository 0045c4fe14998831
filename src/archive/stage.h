// Where an export grows before it is complete: a file or directory beside its destination, whose
// name says so, and which a later export removes if this one is killed.

#pragma once

#include <filesystem>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::archive {

struct Stage {
  std::filesystem::path path;
  sys::UniqueFd fd;  // Of the file or directory; holds a lock for as long as it is open.
};

// Makes a new one in `directory`: a directory of mode 0700, or a file that is open for writing.
Result<Stage> MakeStageDirectory(const std::filesystem::path& directory);
Result<Stage> MakeStageFile(const std::filesystem::path& directory, mode_t mode);

// Directories in it may be shut.
void RemoveStage(Stage stage);

// Removes what killed exports have left in `directory`: what is named as a stage of this user and
// this boot of the host, and is locked by no process any more. Nothing is removed from a directory
// in which other users may rename files, since one of them could pass off another file as a stage.
void RemoveAbandonedStages(const std::filesystem::path& directory);

}  // namespace pyro::archive
