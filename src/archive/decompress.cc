#include <archive.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "archive/formats.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::archive {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;

Error Broken(std::string_view format, std::string_view why) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("broken archive: its {} data {}", format, why));
}

// By zlib itself: libarchive's filter compares neither the checksum nor the length of a member.
class GzipSource : public Source {
 public:
  static Result<std::unique_ptr<Source>> Create(Source& compressed) {
    auto source = std::make_unique<GzipSource>(compressed);
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (::inflateInit2(&source->stream_, kGzipOnly) != Z_OK) {
      return sys::ErrnoError(ENOMEM, "read an archive");
    }
    source->ready_ = true;
    return std::unique_ptr<Source>(std::move(source));
  }

  explicit GzipSource(Source& compressed) : compressed_(compressed), buffer_(kBufferBytes, '\0') {}
  ~GzipSource() override {
    if (ready_) ::inflateEnd(&stream_);
  }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  Result<std::string_view> Next() override {
    while (true) {
      if (input_.empty()) {
        PYRO_ASSIGN_OR_RETURN(input_, compressed_.Next());
        if (input_.empty()) {
          if (inside_) return Broken("gzip", "is cut off");
          return std::string_view();
        }
      }
      if (!inside_) {
        PYRO_RETURN_IF_ERROR(EnterMember());
        continue;
      }
      PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, Inflate());
      if (!bytes.empty()) return bytes;
    }
  }

 private:
  // At the next member, or past zeros that fill up a tape's block, as gzip(1) takes them.
  Status EnterMember() {
    const std::size_t zeros = std::min(input_.find_first_not_of('\0'), input_.size());
    if (!first_) {
      padded_ = padded_ || zeros > 0;
      input_.remove_prefix(zeros);
      if (input_.empty()) return OkStatus();
    }
    if (padded_ || input_.front() != '\x1f') return Broken("gzip", "is followed by something else");
    if (::inflateReset(&stream_) != Z_OK) return Broken("gzip", "cannot be read");
    first_ = false;
    inside_ = true;
    return OkStatus();
  }

  // Empty: more input is needed, or a member has ended.
  Result<std::string_view> Inflate() {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input_.data()));
    stream_.avail_in = static_cast<uInt>(input_.size());
    stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
    stream_.avail_out = static_cast<uInt>(buffer_.size());
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    input_.remove_prefix(input_.size() - stream_.avail_in);
    if (result == Z_STREAM_END) {
      inside_ = false;
    } else if (result == Z_MEM_ERROR) {
      return sys::ErrnoError(ENOMEM, "read an archive");
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return Broken("gzip",
                    fmt::format("is damaged ({})",
                                Printable(stream_.msg == nullptr ? "unreadable" : stream_.msg)));
    }
    return std::string_view(buffer_).substr(0, buffer_.size() - stream_.avail_out);
  }

  Source& compressed_;
  z_stream stream_{};
  bool ready_ = false;
  std::string buffer_;
  std::string_view input_;
  bool first_ = true;    // No member has begun yet.
  bool inside_ = false;  // A member has begun and not ended.
  bool padded_ = false;  // Zeros came after a member.
};

// By libarchive, whose libraries compare the checksums of these formats.
class FilterSource : public Source {
 public:
  static Result<std::unique_ptr<Source>> Create(Source& compressed, int filter,
                                                std::string_view name) {
    auto source = std::make_unique<FilterSource>(compressed, name);
    struct ::archive* const handle = source->archive_.get();
    struct ::archive_entry* entry = nullptr;
    if (handle == nullptr) return sys::ErrnoError(ENOMEM, "read an archive");
    // This filter and no other: what it yields is not decompressed once more.
    if (archive_read_append_filter(handle, filter) != ARCHIVE_OK) {
      return MakeError(ErrorCode::kMissingTool,
                       fmt::format("this host's libarchive cannot read {} data", name));
    }
    if (archive_read_support_format_raw(handle) != ARCHIVE_OK ||
        archive_read_open(handle, source.get(), nullptr, &Feed, nullptr) != ARCHIVE_OK ||
        archive_read_next_header(handle, &entry) != ARCHIVE_OK) {
      return source->Failure();
    }
    return std::unique_ptr<Source>(std::move(source));
  }

  FilterSource(Source& compressed, std::string_view name)
      : compressed_(compressed),
        name_(name),
        archive_(archive_read_new(), &archive_read_free),
        buffer_(kBufferBytes, '\0') {}

  Result<std::string_view> Next() override {
    const la_ssize_t n = archive_read_data(archive_.get(), buffer_.data(), buffer_.size());
    if (n < 0) return Failure();
    if (n == 0) PYRO_RETURN_IF_ERROR(CheckEnd());
    return std::string_view(buffer_.data(), static_cast<std::size_t>(n));
  }

 private:
  static la_ssize_t Feed(struct ::archive* handle, void* self, const void** bytes) {
    auto& source = *static_cast<FilterSource*>(self);
    auto taken = source.compressed_.Next();
    if (!taken) {
      archive_set_error(handle, EIO, "%s", "no more bytes");
      source.error_ = std::move(taken).error();
      return -1;
    }
    source.given_ += static_cast<std::int64_t>(taken->size());
    *bytes = taken->data();
    return static_cast<la_ssize_t>(taken->size());
  }

  // The filter of bzip2 stops without a word at what is no further stream.
  Status CheckEnd() {
    PYRO_ASSIGN_OR_RETURN(const std::string_view more, compressed_.Next());
    if (more.empty() && archive_filter_bytes(archive_.get(), -1) == given_) return OkStatus();
    return Broken(name_, "is followed by something else");
  }

  Error Failure() const {
    if (error_) return *error_;
    if (archive_errno(archive_.get()) == ENOMEM) return sys::ErrnoError(ENOMEM, "read an archive");
    return Broken(name_, "is damaged or cut off");
  }

  Source& compressed_;
  const std::string_view name_;
  LibArchive archive_;
  std::string buffer_;
  std::optional<Error> error_;  // Of the source.
  std::int64_t given_ = 0;      // Bytes that libarchive has been given.
};

}  // namespace

Result<std::unique_ptr<Source>> Decompress(Source& compressed, Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return GzipSource::Create(compressed);
    case Compression::kBzip2:
      return FilterSource::Create(compressed, ARCHIVE_FILTER_BZIP2, "bzip2");
    case Compression::kXz:
      return FilterSource::Create(compressed, ARCHIVE_FILTER_XZ, "xz");
    case Compression::kZstd:
      return FilterSource::Create(compressed, ARCHIVE_FILTER_ZSTD, "zstd");
    case Compression::kNone:
      break;
  }
  return MakeError(ErrorCode::kInternal, "a plain tar is not decompressed");
}

}  // namespace pyro::archive
