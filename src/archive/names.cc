#include "archive/names.h"

#include <climits>

#include <fmt/format.h>

#include "archive/operation.h"
#include "base/text.h"

namespace pyro::archive {
namespace {

constexpr std::size_t kBytesPerName =
    64;  // What a set or map takes in addition to the name itself.

}  // namespace

Result<std::string> CleanName(std::string_view name, ErrorCode bad) {
  const auto refuse = [&](std::string_view why) {
    return MakeError(bad, fmt::format("entry '{}' {}", Printable(name), why));
  };
  if (name.starts_with('/')) return refuse("has an absolute name");
  if (name.size() > kMaxNameBytes) return refuse("has too long a name");
  std::string clean;
  std::size_t depth = 0;
  for (const std::string_view part : Split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse("leads out of its directory by '..'");
    if (part.size() > NAME_MAX) return refuse("has too long a name");
    if (++depth > kMaxDepth) {
      return MakeError(ErrorCode::kLimit,
                       fmt::format("entry '{}' lies too deep, below more than {} directories",
                                   Printable(name), kMaxDepth),
                       "move what lies so deep, or remove it");
    }
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

Status LinkGuard::Add(const std::string& name) {
  if (!links_.insert(name).second) return OkStatus();
  bytes_ += name.size() + kBytesPerName;
  if (bytes_ > kMaxKeptNameBytes) {
    return MakeError(ErrorCode::kLimit, "too many links or left-out files");
  }
  return OkStatus();
}

bool LinkGuard::IsBelowLink(std::string_view name) const {
  if (links_.empty()) return false;
  for (auto slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
    if (links_.contains(std::string(name.substr(0, slash)))) return true;
  }
  return false;
}

}  // namespace pyro::archive
