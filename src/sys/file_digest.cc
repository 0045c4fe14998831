#include "sys/file_digest.h"

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

namespace pyro::sys {
namespace {

constexpr std::int64_t kWordBytes = sizeof(std::uint64_t);
constexpr std::size_t kPieceBytes = 256 * 1024;

}  // namespace

std::uint64_t FileDigest::Mix(std::uint64_t word, std::int64_t index) {
  if (word == 0) return 0;
  std::uint64_t x = word ^ (static_cast<std::uint64_t>(index) + 1) * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

void FileDigest::AddByte(std::int64_t offset, char byte) {
  const std::int64_t index = offset / kWordBytes;
  if (index != index_) {
    sum_ += Mix(word_, index_);
    index_ = index;
    word_ = 0;
  }
  word_ |= std::uint64_t{static_cast<unsigned char>(byte)} << (offset % kWordBytes * 8);
}

void FileDigest::Add(std::int64_t offset, std::string_view bytes) {
  std::size_t at = 0;
  for (; at < bytes.size() && (offset + static_cast<std::int64_t>(at)) % kWordBytes != 0; ++at) {
    AddByte(offset + static_cast<std::int64_t>(at), bytes[at]);
  }
  std::int64_t index = (offset + static_cast<std::int64_t>(at)) / kWordBytes;
  for (; bytes.size() - at >= static_cast<std::size_t>(kWordBytes); at += kWordBytes, ++index) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    sum_ += Mix(word, index);
  }
  for (; at < bytes.size(); ++at) AddByte(offset + static_cast<std::int64_t>(at), bytes[at]);
}

std::optional<std::uint64_t> DigestOfFile(int fd) {
  std::vector<char> buffer(kPieceBytes);
  FileDigest digest;
  for (off_t at = 0;;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return digest.value();  // A hole up to the end.
    if (data > at) at = data;
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) return digest.value();
    digest.Add(at, {buffer.data(), static_cast<std::size_t>(n)});
    at += n;
  }
}

}  // namespace pyro::sys
