#include "base/ids.h"

#include <algorithm>

namespace pyro {
namespace {

constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";

}  // namespace

std::string EncodeBase32(const std::array<std::uint8_t, 16>& bits) {
  std::string out;
  unsigned buffer = 0;
  int held = 0;
  for (const std::uint8_t byte : bits) {
    buffer = buffer << 8 | byte;
    held += 8;
    while (held >= 5) {
      held -= 5;
      out += kAlphabet[buffer >> held & 31];
    }
    buffer &= 0xff;
  }
  out += kAlphabet[buffer << (5 - held) & 31];
  return out;
}

bool IsIdPrefix(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return text.size() >= 6 && text.size() <= 26 && std::all_of(text.begin(), text.end(), [](char c) {
           return kAlphabet.find(c) != std::string_view::npos;
         });
}

std::string_view IdPrefix(InstanceKind kind) { return kind == InstanceKind::kVm ? "vm_" : "task_"; }

InstanceId InstanceId::FromBits(InstanceKind kind, const std::array<std::uint8_t, 16>& bits) {
  return InstanceId(std::string(IdPrefix(kind)) + EncodeBase32(bits));
}

Result<InstanceId> InstanceId::Parse(InstanceKind kind, std::string_view text) {
  const std::string_view prefix = IdPrefix(kind);
  if (text.size() == prefix.size() + 26 && IsIdPrefix(text, prefix)) {
    return InstanceId(std::string(text));
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   "'" + std::string(text.substr(0, 64)) + "' is not an id",
                   "an id looks like " + std::string(prefix) + "…");
}

InstanceKind InstanceId::kind() const {
  return text_.starts_with(IdPrefix(InstanceKind::kTask)) ? InstanceKind::kTask : InstanceKind::kVm;
}

}  // namespace pyro
