// Tar streams, entry by entry: all uses of libarchive in this folder. Not thread-safe; use an
// object in the thread that made it.

#pragma once

#include <clocale>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/meter.h"
#include "pyro/result.h"
#include "sys/data_ranges.h"

struct archive;
struct archive_entry;

namespace pyro::archive {

enum class Compression { kNone, kGzip, kBzip2, kXz, kZstd };

struct Entry {
  enum class Type { kDirectory, kRegular, kSymlink, kHardLink, kFifo, kDevice };

  Type type = Type::kRegular;
  std::string name;    // Byte for byte; as it stands in the archive.
  std::string target;  // Of a link.
  unsigned mode = 0;   // Permissions, 07777.
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::int64_t size = 0;  // Of a regular file; with its holes.
  // Of a device.
  bool block = false;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::int64_t seconds = 0;
  long nanoseconds = 0;
  // The parts that are no holes, ascending; nullopt: there are no holes.
  std::optional<std::vector<sys::FileRange>> data;
  // Names with their values. Of a reader only if it KeepsAttributes().
  std::vector<std::pair<std::string, std::string>> attributes;
};

// Makes libarchive treat names as bytes: with any other character set it converts them and composes
// accents. For this thread, until the end of the object.
class ByteNames {
 public:
  ByteNames();
  ~ByteNames();
  ByteNames(const ByteNames&) = delete;
  ByteNames& operator=(const ByteNames&) = delete;

 private:
  locale_t bytes_;
  locale_t before_;
};

using LibArchive = std::unique_ptr<struct ::archive, int (*)(struct ::archive*)>;

// The source of an archive's bytes. The view is valid until the next call; empty at the end.
class Source {
 public:
  virtual ~Source() = default;
  virtual Result<std::string_view> Next() = 0;
};

// A borrowed descriptor, blocking or not.
class FdSource : public Source {
 public:
  FdSource(int fd, Meter& meter) : fd_(fd), meter_(meter), buffer_(64 * 1024, '\0') {}
  Result<std::string_view> Next() override;

 private:
  const int fd_;
  Meter& meter_;
  std::string buffer_;
};

class PaxGlobals;

class TarReader {
 public:
  ~TarReader();

  // `bad` is the code of the errors about what the stream holds. Counts its bytes in `meter`.
  static Result<std::unique_ptr<TarReader>> Create(Source& source, Meter& meter, ErrorCode bad);

  // Entries have their extended attributes from now on.
  void KeepAttributes() { keeps_attributes_ = true; }

  // nullopt after the last entry; the source is at its end then. An unread rest of the entry
  // before is skipped. What comes after the end mark is counted in `meter` and left out.
  Result<std::optional<Entry>> Next();

  // A piece of the entry's content; between two pieces is a hole.
  struct Piece {
    std::int64_t offset;
    std::string_view bytes;
  };
  // nullopt at its end. Pieces ascend, lie within the size, and together have the length of all
  // content outside holes. Valid until the next call.
  Result<std::optional<Piece>> Read();

  // Whether the entries so far had what a global header of pax says.
  bool has_globals() const;

  Error Bad(std::string message) const { return MakeError(bad_, std::move(message)); }
  ErrorCode bad() const { return bad_; }

 private:
  TarReader(Source& source, Meter& meter, ErrorCode bad);

  static long Feed(struct ::archive*, void* self, const void** bytes);
  Result<std::string_view> Take();
  Error Failure();
  Result<Entry> Convert(struct ::archive_entry* entry);
  std::string_view HeaderBytes() const;
  Status ReadToEnd();

  ByteNames byte_names_;
  Source& source_;
  Meter& meter_;
  const ErrorCode bad_;
  bool keeps_attributes_ = false;
  LibArchive archive_;
  std::optional<Error> error_;  // Of the source.
  std::int64_t budget_ = 0;     // Bytes that libarchive may still take in this call.
  std::unique_ptr<PaxGlobals> globals_;
  std::string kept_;            // The last bytes that the source has given,
  std::int64_t kept_from_ = 0;  // which begin there.
  bool in_header_ = false;      // All from header_from_ on is to be kept.
  std::int64_t header_from_ = 0;
  bool content_ = false;       // The entry has content that was not read to its end.
  bool regular_ = false;       // The entry is a regular file.
  std::int64_t size_ = 0;      // Of the entry.
  std::int64_t left_ = 0;      // Of its content without holes.
  std::int64_t position_ = 0;  // In the entry.
};

class TarWriter {
 public:
  // Writes to `fd`, borrowed, blocking or not. Counts bytes in `meter` if asked to.
  enum class Counting { kNo, kYes };
  static Result<std::unique_ptr<TarWriter>> Create(int fd, Meter& meter, Counting counting,
                                                   Compression compression = Compression::kNone);

  // Without Finish() the stream ends without its mark.
  ~TarWriter();

  // The content of a regular file must follow, all of it, in order, holes as zeros.
  Status Add(const Entry& entry);
  Status Write(std::string_view bytes);
  Status WriteZeros(std::int64_t count);

  Status Finish();

 private:
  TarWriter(int fd, Meter& meter, Counting counting);

  static long Drain(struct ::archive*, void* self, const void* bytes, std::size_t count);
  Status Put(std::string_view bytes);
  Error Failure();

  ByteNames byte_names_;
  const int fd_;
  Meter& meter_;
  const Counting counting_;
  // Zeros that take no memory: a hole of terabytes is "written" in large pieces.
  std::unique_ptr<const char, void (*)(const char*)> zeros_;
  LibArchive archive_;
  std::optional<Error> error_;  // Of the descriptor; nothing is written after it,
  bool closed_ = false;         // nor after this.
};

}  // namespace pyro::archive
