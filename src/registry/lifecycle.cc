#include "registry/lifecycle.h"

#include <fmt/format.h>

namespace pyro::registry {

Result<std::string> WholePrefix(std::string_view text, std::string_view tag,
                                std::string_view thing) {
  if (IsIdPrefix(text, tag)) return std::string(text);
  std::string whole = std::string(tag) + std::string(text.substr(0, 64));
  if (IsIdPrefix(whole, tag)) return whole;
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is not the id of a {}", Printable(text, 64), thing),
      fmt::format("an id is {} and 26 characters, of which the first 6 are enough", tag));
}

Error AmbiguousPrefix(std::string_view prefix, std::size_t matches) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is the beginning of {} ids", prefix, matches),
                   "give more characters of the id");
}

Status CheckSizes(std::int64_t vcpu_count, std::int64_t mem_mib, std::chrono::seconds ttl,
                  std::string_view thing) {
  if (vcpu_count < 1 || mem_mib < 1) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("a {} cannot have {} vCPUs and {} MiB of memory", thing, vcpu_count, mem_mib),
        "give it at least 1 of each");
  }
  if (ttl < std::chrono::seconds(1) || ttl > kMaxTtl) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a lease cannot last {} seconds", ttl.count()),
                     fmt::format("use 1 to {} seconds", kMaxTtl.count()));
  }
  return OkStatus();
}

}  // namespace pyro::registry
