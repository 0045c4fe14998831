// Running the build tools as "root" of namespaces of their own.
//
// They then own every file they make, their mounts vanish with them, and killing the first of them
// kills all. A normal user becomes root of a user namespace with the sub-ids of that user. Root
// keeps its identity and gets only mount and pid namespaces. It gets none if even these are
// forbidden, as in some containers, in which the tools cannot mount either.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

class RootNamespace {
 public:
  // Tests it. kMissingTool: newuidmap is not installed. kPermissionDenied: this user has no
  // sub-ids, or user namespaces are forbidden; the hint says how to change that.
  // kCancelled.
  static Result<RootNamespace> Create(const ToolPaths& tools, Cancellation cancel = {});

  // What is known to keep this process from such a namespace, without trying: it is root of one
  // with too few users, or may not gain the rights of newuidmap.
  static std::optional<Error> Obstacle();

  // `argv` behind the words that make the namespaces.
  std::vector<std::string> Wrap(std::vector<std::string> argv) const;

  // Runs a tool to its end inside; argv[0] is its name. It works in `work_dir` and has its
  // temporary files there, so that they go with it. Its umask is 022. Errors as ToolPaths::Find and
  // RunTool.
  Result<ToolRun> Run(std::vector<std::string> argv, const std::filesystem::path& work_dir,
                      const std::vector<std::string>& more_env, Cancellation cancel,
                      const LineFn& on_line) const;

  // Removes a tree whose files may belong to sub-ids. Mounts are not entered. A missing tree is no
  // error.
  Status RemoveTree(const std::filesystem::path& path) const;

 private:
  RootNamespace(ToolPaths tools, std::vector<std::string> prefix)
      : tools_(std::move(tools)), prefix_(std::move(prefix)) {}

  ToolPaths tools_;
  std::vector<std::string> prefix_;
};

// Removes a tree that an interrupted build may have left: directly or, if its files belong to
// sub-ids, from a RootNamespace.
Status RemoveBuildTree(const ToolPaths& tools, const std::filesystem::path& path);

}  // namespace pyro::image
