// The entries of a tar stream in the pax format. The other end is the host's libarchive
// (src/archive), so this reads what that writes: ustar and extended headers, holes as GNU sparse
// 1.0. Of other formats it reads none. Not thread-safe.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyro/result.h"
#include "sys/data_ranges.h"

namespace pyro::agent {

struct TarEntry {
  enum class Type { kFile, kHardLink, kSymlink, kCharacterDevice, kBlockDevice, kDirectory, kFifo };

  Type type = Type::kFile;
  std::string name;       // Any bytes but NUL; of a stream that is read, as it stands there.
  std::string target;     // Of a link.
  std::int64_t mode = 0;  // Permissions, 07777.
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::int64_t size = 0;         // Of a file, in bytes with its holes.
  std::int64_t seconds = 0;      // Of the last change, since the epoch; rounded down.
  std::int64_t nanoseconds = 0;  // 0 to 999,999,999, on top of these.
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  // The parts that are no holes, ascending; nullopt: there are no holes.
  std::optional<std::vector<sys::FileRange>> data;
  // Extended attributes by their names.
  std::vector<std::pair<std::string, std::string>> attributes;
};

// The bytes that follow the header of an entry: of a file those of all its parts.
std::int64_t TarContentBytes(const TarEntry& entry);
// Zeros after a content of that length.
std::size_t TarPadding(std::int64_t content_bytes);

// All blocks before the content.
std::string TarHeader(const TarEntry& entry);
// The end of a stream.
std::string TarEnd();

// Reads a stream. Errors have the errno of the source, or EPROTO for a stream that is broken or of
// another format. After one it is unusable.
class TarInput {
 public:
  // Reads up to `most` bytes; 0: at the end.
  using Source = std::function<Result<std::size_t>(char* to, std::size_t most)>;
  explicit TarInput(Source source);

  // nullopt: after the last entry; the source is at its end then. What is left of the content
  // before is skipped.
  Result<std::optional<TarEntry>> Next();

  // Bytes of the content that were not taken yet.
  std::int64_t left() const { return left_; }
  // Up to `most` of them, at least one; valid until the next call.
  Result<std::string_view> Content(std::int64_t most);
  // True if the next byte of the content is the source's next one: it may be taken there.
  bool AtSource() const { return begin_ == end_; }
  void TookAtSource(std::int64_t bytes) { left_ -= bytes; }

 private:
  Result<bool> Fill();
  // So many bytes of the stream; valid until the next call.
  Result<std::string_view> Exactly(std::size_t bytes);
  Status Skip(std::int64_t bytes);
  Status ReadExtended(std::int64_t bytes);
  Status ReadToEnd();
  Result<TarEntry> Convert(std::string_view block);
  Status ReadHoles(TarEntry& entry);
  const std::string* Record(std::string_view key) const;

  Source source_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::int64_t left_ = 0;
  std::int64_t padding_ = 0;
  std::vector<std::pair<std::string, std::string>> records_;  // Of the next entry.
};

}  // namespace pyro::agent
