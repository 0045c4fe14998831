// What the agent's program for trees writes, and the bounds of it. The guest is hostile: the
// readers check all of it.
//
// An entry of "tree" is "TYPE MODE SIZE MTIME CTIME INODE", a NUL, the path below the directory, a
// NUL, the target of a symbolic link or nothing, and a NUL. TYPE is f, d, l or o; times are in
// nanoseconds; all numbers are decimal. An answer of "files" is the size, a newline and the
// content; of "digests" a number and a newline. What cannot be read, or is too large, is "-" and a
// newline. A step of "apply" is "WHAT MODE INODE CTIME", a NUL, the path and a NUL; WHAT is p, d or
// r. A refusal, its answer, is the step's index, a space, a number of StepRefusal and a newline.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/tree_step.h"
#include "pyro/result.h"

namespace pyro::wire {

inline constexpr std::size_t kMaxTreeEntries = 1'000'000;
inline constexpr std::size_t kMaxTreeBytes = 256 << 20;  // Of a whole list.
inline constexpr std::size_t kMaxShownFile = 1 << 20;    // Bytes of a file whose content is told.

struct TreeEntry {
  char type = 'f';
  std::int64_t mode = 0;  // The last 12 bits.
  std::int64_t size = 0;
  std::int64_t mtime = 0;
  std::int64_t ctime = 0;
  std::int64_t inode = 0;
  std::string target;  // Of a link; shorter than Linux' longest path.
};
// By their paths, which are relative and have no "." or "..". Each directory on the way to one is
// there, too.
using Tree = std::map<std::string, TreeEntry, std::less<>>;

// What people call a type: "file", "directory", "symlink", or "other".
std::string_view TypeName(char type);

// kProtocol: it is malformed. kLimit: it has too many entries.
Result<Tree> ReadTree(std::string_view text);

// So many answers. kProtocol.
Result<std::vector<std::optional<std::string>>> ReadContents(std::string_view text,
                                                             std::size_t count);
Result<std::vector<std::optional<std::uint64_t>>> ReadDigests(std::string_view text,
                                                              std::size_t count);

std::string WriteSteps(const std::vector<TreeStep>& steps);
// kProtocol.
Result<std::vector<TreeStep>> ReadSteps(std::string_view text);

std::string WriteRefusals(const std::vector<RefusedStep>& refused);
// Of so many steps; in their order. kProtocol.
Result<std::vector<RefusedStep>> ReadRefusals(std::string_view text, std::size_t steps);

}  // namespace pyro::wire
