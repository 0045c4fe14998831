// The names that an archive may hold.

#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "pyro/result.h"

namespace pyro::archive {

// Directories above an entry; fewer than the usual limit of descriptors of a process.
inline constexpr std::size_t kMaxDepth = 500;

// `name` without needless slashes and dots: "./a//b/" is "a/b", and "." is "". `bad` for a name
// that is absolute, has "..", or is too long. kLimit: it is deeper than kMaxDepth.
Result<std::string> CleanName(std::string_view name, ErrorCode bad);

// Names seen so far, such as those of symbolic links, to refuse entries below one. Memory is
// bounded: kLimit.
class LinkGuard {
 public:
  Status Add(const std::string& name);
  bool Contains(const std::string& name) const { return links_.contains(name); }
  // True if a directory of `name` is one of them.
  bool IsBelowLink(std::string_view name) const;

 private:
  std::unordered_set<std::string> links_;
  std::size_t bytes_ = 0;
};

// The memory for the names kept of one archive.
inline constexpr std::size_t kMaxKeptNameBytes = 256 << 20;

}  // namespace pyro::archive
