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

}  // namespace pyro
