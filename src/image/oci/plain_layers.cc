#include "image/oci/plain_layers.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/try.h"
#include "image/oci/layer_plan.h"
#include "image/store/build_log.h"
#include "sys/errno_error.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

using Type = archive::Entry::Type;

constexpr std::size_t kMaxPlainNodes = 1 << 20;
constexpr std::int64_t kIds = 65536;  // What a namespace has; tar's words for more are not umoci's.

// tar reads %3D in a name as a '=', and keeps an attribute without a value, which podman drops.
bool IsPlainAttribute(std::string_view name, std::string_view value) {
  if (value.empty() || name.find_first_of("%=") != name.npos) return false;
  return name == "security.capability" ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

}  // namespace

void PlainLayers::BeginLayer() { ++layers_; }

void PlainLayers::Add(const archive::Entry& entry) { plain_ = plain_ && Takes(entry); }

bool PlainLayers::Takes(const archive::Entry& entry) {
  const bool is_directory = entry.type == Type::kDirectory;
  const auto path = LayerPath(entry.name);
  if (!path || entry.name.starts_with('/') || nodes_.size() == kMaxPlainNodes) return false;
  if (entry.type == Type::kDevice || entry.uid >= kIds || entry.gid >= kIds) return false;
  // A later layer would not take those of a directory away.
  if (is_directory && !entry.attributes.empty()) return false;
  if (!std::all_of(entry.attributes.begin(), entry.attributes.end(),
                   [](const auto& one) { return IsPlainAttribute(one.first, one.second); })) {
    return false;
  }
  if (path->empty()) return is_directory;
  const auto slash = path->rfind('/');
  if (slash != std::string::npos) {
    const auto parent = nodes_.find(path->substr(0, slash));
    if (parent == nodes_.end() || !parent->second.is_directory || parent->second.layer != layers_) {
      return false;
    }
  }
  const std::string_view name =
      std::string_view(*path).substr(slash == std::string::npos ? 0 : slash + 1);
  if (name.starts_with(".wh.")) {
    whiteouts_ = true;
    // AUFS has more marks, which begin so, than that of an opaque directory.
    return entry.type == Type::kRegular && entry.size == 0 &&
           (!name.starts_with(".wh..wh.") || name == ".wh..wh..opq");
  }
  if (entry.type == Type::kHardLink) {
    const auto linked = LayerPath(entry.target);
    const auto target = linked ? nodes_.find(*linked) : nodes_.end();
    if (target == nodes_.end() || target->second.is_directory || entry.target.starts_with('/')) {
      return false;
    }
  }
  const auto [node, is_new] = nodes_.try_emplace(*path, Node{is_directory, layers_});
  if (is_new) return true;
  // A directory again, of another layer.
  if (!is_directory || !node->second.is_directory || node->second.layer == layers_) return false;
  node->second.layer = layers_;
  return true;
}

Result<bool> UnpackPlainLayers(const RootNamespace& root, const std::vector<fs::path>& tars,
                               const fs::path& tree, const fs::path& work_dir,
                               Cancellation cancel) {
  if (::mkdir(tree.c_str(), 0755) != 0 || ::chmod(tree.c_str(), 0755) != 0) {
    return sys::ErrnoError(errno, "make the directory", tree.native());
  }
  for (const fs::path& tar : tars) {
    // Without --absolute-names: no link leads tar out of the tree.
    PYRO_ASSIGN_OR_RETURN(
        const ToolRun run,
        root.Run({"tar", "--extract", "--file", tar.native(), "--directory", tree.native(),
                  "--exclude=.wh.*", "--preserve-permissions", "--same-owner", "--numeric-owner",
                  "--delay-directory-restore", "--xattrs", "--xattrs-include=*",
                  "--warning=no-unknown-keyword", "--warning=no-timestamp"},
                 work_dir, {}, cancel, {}));
    if (run.status.success() && run.tail.empty()) continue;
    Error error = ExplainFailure("tar", run.tail);
    if (error.code == ErrorCode::kNoSpace) return error;
    // It only warns of an attribute that it cannot set.
    PYRO_RETURN_IF_ERROR(root.RemoveTree(tree));
    return false;
  }
  return true;
}

}  // namespace pyro::image
