// Layers that GNU tar unpacks as umoci does, in a fraction of the time.

#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "archive/tar.h"
#include "image/progress.h"
#include "image/root_namespace.h"
#include "pyro/result.h"

namespace pyro::image {

// Whether the layers of one group are plain: each file once, below a directory that the layer has
// stated before, and nothing in it that needs another layer, a device or an uncommon attribute.
// What is not plain is left to umoci.
class PlainLayers {
 public:
  void BeginLayer();
  void Add(const archive::Entry& entry);

  // Of what was added so far.
  bool are() const { return plain_ && layers_ <= (whiteouts_ ? 1 : kMaxLayers); }

 private:
  static constexpr std::size_t kMaxLayers = 8;  // Each costs a program.

  struct Node {
    bool is_directory = false;
    std::size_t layer = 0;  // The last one that states it.
  };

  bool Takes(const archive::Entry& entry);

  std::unordered_map<std::string, Node> nodes_;
  std::size_t layers_ = 0;
  bool whiteouts_ = false;
  bool plain_ = true;
};

// Unpacks plain layers, the lowest first, into the new directory `tree`, with their owners, modes,
// times and attributes, inside of `root`. Whiteouts are left out. False: tar did not do all of it,
// and the tree is gone. `work_dir` as in RootNamespace::Run. kMissingTool, kCancelled, kNoSpace.
Result<bool> UnpackPlainLayers(const RootNamespace& root,
                               const std::vector<std::filesystem::path>& tars,
                               const std::filesystem::path& tree,
                               const std::filesystem::path& work_dir, Cancellation cancel);

}  // namespace pyro::image
