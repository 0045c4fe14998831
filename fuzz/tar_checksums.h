// Archives whose headers have right checksums: no input that is made by chance has them.

#pragma once

#include <cstddef>
#include <string>
#include <utility>

namespace pyro {

inline constexpr std::size_t kTarBlock = 512;

// Of every block that could be a header.
inline void SetChecksums(std::string& bytes) {
  for (std::size_t at = 0; at + kTarBlock <= bytes.size(); at += kTarBlock) {
    if (bytes.compare(at + 257, 5, "ustar") != 0) continue;
    bytes.replace(at + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = at; i < at + kTarBlock; ++i) sum += static_cast<unsigned char>(bytes[i]);
    for (std::size_t i = 0; i < 6; ++i, sum >>= 3) {
      bytes[at + 153 - i] = static_cast<char>('0' + (sum & 7));
    }
    bytes[at + 154] = '\0';
  }
}

// `bytes` in whole blocks, with checksums and the two empty blocks of an archive's end.
inline std::string WholeArchive(std::string bytes) {
  bytes.resize((bytes.size() + kTarBlock - 1) / kTarBlock * kTarBlock);
  SetChecksums(bytes);
  return std::move(bytes) + std::string(2 * kTarBlock, '\0');
}

}  // namespace pyro
