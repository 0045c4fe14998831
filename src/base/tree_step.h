// A change to one path of a tree, as a sync makes it on either side.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace pyro {

struct TreeStep {
  enum class What : std::uint8_t {
    kPlace,      // What has the same path in the stage, and is no directory, goes there.
    kDirectory,  // A directory with this mode.
    kRemove,     // A directory only if it is empty.
  };
  What what = What::kPlace;
  std::string path;       // Relative, without "." and "..".
  std::int64_t mode = 0;  // Of a directory: the permissions, up to 0777.
  // What was there when the change was planned; an inode of 0: nothing. Does not count for a
  // directory.
  std::int64_t inode = 0;
  std::int64_t ctime = 0;  // Nanoseconds.
};

// Why a step was left out.
enum class StepRefusal : std::uint8_t {
  kChanged,    // Another file is there than was planned for.
  kInTheWay,   // A directory that is not empty, or a path through what is no directory.
  kNotStaged,  // The stage does not have it.
};
inline constexpr int kStepRefusals = 3;

struct RefusedStep {
  std::size_t step = 0;  // Its index.
  StepRefusal why = StepRefusal::kChanged;
};

}  // namespace pyro
