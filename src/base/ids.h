// Identifiers of VMs and tasks: a prefix and 128 random bits in lower-case base32 (RFC 4648
// alphabet, no padding).

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro {

std::string EncodeBase32(const std::array<std::uint8_t, 16>& bits);

// True for the forms that a person may type: the prefix and 6 to 26 characters of the alphabet.
bool IsIdPrefix(std::string_view text, std::string_view prefix);

// A distinct type per kind of thing, so that a VmId is not accepted where a TaskId is meant.
template <typename Tag>
class Id {
 public:
  static Id FromBits(const std::array<std::uint8_t, 16>& bits) {
    return Id(std::string(Tag::kPrefix) + EncodeBase32(bits));
  }

  // kInvalidArgument unless `text` is a whole id. The result is safe as a file name.
  static Result<Id> Parse(std::string_view text) {
    if (text.size() != Tag::kPrefix.size() + 26 || !IsIdPrefix(text, Tag::kPrefix)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "'" + std::string(text.substr(0, 64)) + "' is not an id",
                       std::string("an id looks like ") + std::string(Tag::kPrefix) + "…");
    }
    return Id(std::string(text));
  }

  const std::string& str() const { return text_; }
  auto operator<=>(const Id&) const = default;  // NOLINT(modernize-use-nullptr): a false alarm

 private:
  explicit Id(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

struct VmIdTag {
  static constexpr std::string_view kPrefix = "vm_";
};
using VmId = Id<VmIdTag>;

struct TaskIdTag {
  static constexpr std::string_view kPrefix = "task_";
};
using TaskId = Id<TaskIdTag>;

}  // namespace pyro
