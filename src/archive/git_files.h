// A git work tree as git sees it.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "pyro/result.h"

namespace pyro::archive {

// Names are relative to the top of the work tree.
struct GitFiles {
  std::unordered_set<std::string> files;        // Tracked, or neither tracked nor ignored.
  std::unordered_set<std::string> directories;  // That hold those.
  std::unordered_set<std::string> whole;        // ".git", and that of each submodule.
};

// Asks git itself, which honours .gitignore, .git/info/exclude and the user's own excludes. No
// program that the repository's configuration names is run: a repository may come from anywhere.
// Submodules and repositories within the work tree are asked in the same way. `cancel_fd`
// becoming readable ends it with kCancelled; -1: nothing does.
//
// kMissingTool: no git here. kInvalidArgument: not the top of a work tree, or git refuses it.
// kLimit: too many names.
Result<GitFiles> ListGitFiles(const std::filesystem::path& source, int cancel_fd);

// Of an entry that tells git where its repository is, or more of it: a file or a symbolic link
// named .git, or a list of alternates. `text` is its content or target. The path that it leads to,
// if that is absolute or outside of the tree, and so not there in a copy; else nullopt.
std::optional<std::string> GitPathOutside(std::string_view name, std::string_view text,
                                          bool symlink);

// True for the names that GitPathOutside() is to be asked about. Of their content the first
// kMaxGitPathBytes are enough.
inline constexpr std::size_t kMaxGitPathBytes = 8192;
bool TellsGitPath(std::string_view name);

}  // namespace pyro::archive
