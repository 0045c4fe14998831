// Running the build tools as "root" of namespaces of their own.
//
// They then own every file they make, their mounts vanish with them, and killing the first of them
// kills all. A normal user becomes root of a user namespace with the sub-ids that the system gives
// to the user; root keeps its identity and gets only mount and pid namespaces, or none where even
// these are forbidden (in some containers, where the tools cannot mount anything either).

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "environment/tools.h"
#include "pyro/result.h"

namespace pyro::environment {

class RootNamespace {
 public:
  // Tries it out. kMissingTool: newuidmap is not installed. kPermissionDenied: this user has no
  // sub-ids, or user namespaces are forbidden; the hint says how to change that.
  static Result<RootNamespace> Create(const ToolPaths& tools);

  // `argv` in front of which stands what makes the namespaces.
  std::vector<std::string> Wrap(std::vector<std::string> argv) const;

  // Removes a tree whose files may belong to sub-ids. Mounts are not entered. Fine if nothing is
  // there.
  Status RemoveTree(const std::filesystem::path& path) const;

 private:
  RootNamespace(ToolPaths tools, std::vector<std::string> prefix)
      : tools_(std::move(tools)), prefix_(std::move(prefix)) {}

  ToolPaths tools_;
  std::vector<std::string> prefix_;
};

// Removes a tree that an interrupted build may have left: directly, or where sub-ids are in the
// way, from a RootNamespace.
Status RemoveBuildTree(const ToolPaths& tools, const std::filesystem::path& path);

}  // namespace pyro::environment
