// Which layers of an image become one disk, and what a disk must hide of those below it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "archive/tar.h"

namespace pyro::image {

// Layers from `begin` to before `end`, counted from the lowest, 0.
struct LayerGroup {
  std::size_t begin = 0;
  std::size_t end = 0;

  bool operator==(const LayerGroup&) const = default;
};

inline constexpr std::size_t kMaxGroups = 12;
inline constexpr std::uint64_t kGroupBytes = 4 << 20;  // A disk for less is not worth its device.

// Groups from the bottom, each of as few layers as have kGroupBytes together; the last one has the
// rest. `sizes` are compressed bytes. Images whose lower layers are the same have the same lower
// groups.
std::vector<LayerGroup> GroupLayers(const std::vector<std::uint64_t>& sizes);

// What a disk has for an overlay, beside the files of its layers. Paths without a leading slash.
struct LayerMarks {
  std::set<std::string> whiteouts;  // Lower files that are hidden.
  std::set<std::string> opaque;     // Directories that hide those below them.
  std::set<std::string> holders;    // Directories with whiteouts.

  bool empty() const { return whiteouts.empty() && opaque.empty(); }
};

// The path in an image as it stands in a layer: "./a//b/" is "a/b". Empty: the root. nullopt: it
// has "..".
std::optional<std::string> LayerPath(std::string_view name);

// The names that the layers of one group have. A group can be a disk of its own if nothing in it
// depends on a file below it.
class GroupNames {
 public:
  void BeginLayer() { ++layer_; }
  void Add(const archive::Entry& entry);

  // After the last layer. nullopt: the group needs files below it; `why_not` says which.
  std::optional<LayerMarks> Finish();
  const std::string& why_not() const { return why_not_; }

 private:
  enum class Kind { kNone, kDirectory, kOther };
  struct Node {
    Kind kind = Kind::kNone;
    bool stated = false;     // A directory with an entry of its own.
    bool hides_low = false;  // What lies below the group at this path is not to be seen.
    int layer = 0;           // That made it.
  };

  void Depends(std::string_view what, std::string_view path);
  bool EnterParents(const std::string& path);
  void Whiteout(const std::string& parent, std::string_view name);
  void EraseBelow(const std::string& path, bool lower_layers_only);

  std::map<std::string, Node> nodes_;
  int layer_ = 0;
  std::string why_not_;
};

}  // namespace pyro::image
