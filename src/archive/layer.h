// The root file system of a hostile guest as the one layer of an OCI image.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive/operation.h"
#include "pyro/result.h"

namespace pyro::archive {

// What differs from the guest's tree. Names are as CleanName() returns them, "" is the root.
struct LayerRules {
  // Given the content of a regular file of at most kMaxEditedBytes, returns the new one; nullopt:
  // the file is left out.
  using Edit = std::function<std::optional<std::string>(const std::string& content)>;

  std::set<std::string> emptied;      // Directories that are kept without what is in them.
  std::map<std::string, Edit> edits;  // Of files with these names.
  std::set<std::string> stamped;      // Their time of change is `stamp`; the emptied ones' too.
  std::int64_t stamp = 0;             // In seconds since 1970.
};
inline constexpr std::size_t kMaxEditedBytes = 1 << 20;

// A file with at least so many bytes in its holes keeps them, in the form of GNU tar. The OCI's
// image-spec would have all files without, and such a file would take its size on every disk.
inline constexpr std::int64_t kMinHoles = std::int64_t{64} << 20;

// The sizes of all files with their holes: other readers may write out a hole of terabytes.
inline constexpr std::uint64_t kMaxLayerContent = std::uint64_t{256} << 30;

struct Layer {
  Summary summary;
  std::vector<std::string> left_out;  // One line each, for people: printable, and bounded.
};

// Copies a tar, entry by entry, to the plain tar of a layer, with owners, modes, times, hard links
// and extended attributes. For any stream every entry of the layer lies below its root, and none
// below a symbolic link. Left out and told are device nodes, and names that a layer cannot hold
// because they mean a removal (.wh.*). Both descriptors are borrowed; `in_fd` is read to its end.
//
// kProtocol: not a tar stream, cut off, or an entry that would lead outside. kLimit: more than
// kMaxEntries, kMaxLayerContent or operation.max_bytes. kCancelled. Thread-safe. Memory stays
// bounded for any stream.
Result<Layer> CopyLayer(int in_fd, int out_fd, const LayerRules& rules,
                        const Operation& operation = {});

}  // namespace pyro::archive
