#include "image/oci/layer_plan.h"

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kReserved = ".wh..wh.";  // Other marks of AUFS.
constexpr std::size_t kMaxNodes = 4 << 20;

std::string ParentOf(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

}  // namespace

std::vector<LayerGroup> GroupLayers(const std::vector<std::uint64_t>& sizes) {
  std::vector<LayerGroup> groups;
  LayerGroup group;
  std::uint64_t bytes = 0;
  for (const std::uint64_t size : sizes) {
    ++group.end;
    bytes += size;
    if (bytes < kGroupBytes || groups.size() + 1 == kMaxGroups) continue;
    groups.push_back(group);
    group.begin = group.end;
    bytes = 0;
  }
  if (group.end > group.begin) groups.push_back(group);
  return groups;
}

std::optional<std::string> LayerPath(std::string_view name) {
  std::string path;
  for (const std::string_view part : Split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return std::nullopt;
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

void GroupNames::Depends(std::string_view what, std::string_view path) {
  if (why_not_.empty()) why_not_ = fmt::format("{} '/{}'", what, Printable(path, 200));
}

// False: a parent is no directory of this group.
bool GroupNames::EnterParents(const std::string& path) {
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    Node& node = nodes_[parent];
    // Its own entry may come later.
    if (node.kind == Kind::kNone) {
      node.kind = Kind::kDirectory;
      node.layer = layer_;
    }
    if (node.kind == Kind::kDirectory) continue;
    Depends("a file below", parent);
    return false;
  }
  return true;
}

// '0' is the character after '/'.
void GroupNames::EraseBelow(const std::string& path, bool lower_layers_only) {
  const auto end = nodes_.lower_bound(path + '0');
  for (auto one = nodes_.lower_bound(path + '/'); one != end;) {
    const bool stays = lower_layers_only && one->second.layer == layer_;
    one = stays ? std::next(one) : nodes_.erase(one);
  }
}

void GroupNames::Whiteout(const std::string& parent, std::string_view name) {
  if (name == kOpaque) {
    if (parent.empty()) return Depends("the marks of", parent);
    Node& node = nodes_[parent];
    node.hides_low = true;
    return EraseBelow(parent, true);
  }
  if (name.starts_with(kReserved) || name.size() == kWhiteout.size()) {
    return Depends("a mark in", parent);
  }
  std::string path = parent.empty() ? std::string() : parent + '/';
  path += name.substr(kWhiteout.size());
  Node& node = nodes_[path];
  node.hides_low = true;
  // What this layer itself has there stays, before the mark or after it.
  if (node.layer != layer_) node = {.hides_low = true, .layer = layer_};
  EraseBelow(path, true);
}

void GroupNames::Add(const archive::Entry& entry) {
  if (!why_not_.empty()) return;
  const auto path = LayerPath(entry.name);
  if (!path) return Depends("a path that leads up,", entry.name);
  if (path->empty()) {
    // The directory of the guest's own disk stands for the root.
    if (entry.type != archive::Entry::Type::kDirectory) Depends("a file in place of", "");
    return;
  }
  if (nodes_.size() > kMaxNodes) return Depends("too many files, from", *path);
  if (!EnterParents(*path)) return;
  const std::string parent = ParentOf(*path);
  const std::string_view name =
      std::string_view(*path).substr(parent.empty() ? 0 : parent.size() + 1);
  if (name.starts_with(kWhiteout)) return Whiteout(parent, name);
  if (entry.type == archive::Entry::Type::kHardLink) {
    const auto target = LayerPath(entry.target);
    const auto found = target ? nodes_.find(*target) : nodes_.end();
    if (found == nodes_.end() || found->second.kind != Kind::kOther) {
      return Depends("the target of the hard link", *path);
    }
  }
  Node& node = nodes_[*path];
  node.layer = layer_;
  if (entry.type == archive::Entry::Type::kDirectory) {
    node.kind = Kind::kDirectory;
    node.stated = true;
    return;
  }
  node = {.kind = Kind::kOther, .stated = false, .hides_low = true, .layer = layer_};
  EraseBelow(*path, false);
}

std::optional<LayerMarks> GroupNames::Finish() {
  LayerMarks marks;
  for (const auto& [path, node] : nodes_) {
    if (!why_not_.empty()) break;
    if (node.kind == Kind::kDirectory && !node.stated) Depends("the directory", path);
    if (!node.hides_low || node.kind == Kind::kOther) continue;
    if (node.kind == Kind::kDirectory) {
      marks.opaque.insert(path);
      continue;
    }
    marks.whiteouts.insert(path);
    if (const std::string parent = ParentOf(path); !parent.empty()) marks.holders.insert(parent);
  }
  if (!why_not_.empty()) return std::nullopt;
  return marks;
}

}  // namespace pyro::image
