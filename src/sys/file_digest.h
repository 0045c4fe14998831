// A number that stands for a file's content where two copies are compared: by the agent, and by the
// host. It is not made against an adversary.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pyro::sys {

// Zeros count for nothing, so holes need not be read, and the size is compared beside it.
class FileDigest {
 public:
  // Pieces ascend and do not overlap.
  void Add(std::int64_t offset, std::string_view bytes);

  std::uint64_t value() const { return sum_ + Mix(word_, index_); }

 private:
  static std::uint64_t Mix(std::uint64_t word, std::int64_t index);
  void AddByte(std::int64_t offset, char byte);

  std::uint64_t sum_ = 0;
  std::int64_t index_ = 0;  // Of a word that may still get bytes,
  std::uint64_t word_ = 0;  // and those that it has.
};

// Of a whole regular file, by pread(2). nullopt: it cannot be read; errno says why.
std::optional<std::uint64_t> DigestOfFile(int fd);

}  // namespace pyro::sys
