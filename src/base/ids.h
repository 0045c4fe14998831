// Identifiers of VMs and tasks: a prefix and 128 random bits in lower-case base32 (RFC 4648
// alphabet, no padding).

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "pyro/result.h"

namespace pyro {

std::string EncodeBase32(const std::array<std::uint8_t, 16>& bits);

// True for the forms that a person may type: the prefix and 6 to 26 characters of the alphabet.
bool IsIdPrefix(std::string_view text, std::string_view prefix);

enum class InstanceKind { kVm, kTask };

// "vm_" or "task_".
std::string_view IdPrefix(InstanceKind kind);

// Of a VM or of a task; its prefix says which.
class InstanceId {
 public:
  static InstanceId FromBits(InstanceKind kind, const std::array<std::uint8_t, 16>& bits);

  // kInvalidArgument unless `text` is a whole id of `kind`. The result is safe as a file name.
  static Result<InstanceId> Parse(InstanceKind kind, std::string_view text);

  const std::string& str() const { return text_; }
  InstanceKind kind() const;
  auto operator<=>(const InstanceId&) const =
      default;  // NOLINT(modernize-use-nullptr): a false alarm

 private:
  explicit InstanceId(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

}  // namespace pyro
