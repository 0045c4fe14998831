#include <archive.h>
#include <archive_entry.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include "archive/pax_globals.h"
#include "archive/tar.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::archive {
namespace {

// libarchive keeps all bytes before an entry's content: names, attributes, maps of holes. Without a
// bound a hostile stream could fill the memory with them.
constexpr std::int64_t kMaxHeaderBytes = 16 << 20;

constexpr std::int64_t kBlock = 512;

constexpr std::int64_t kMaxId = UINT32_MAX - 1;

constexpr long kSecond = 1'000'000'000;  // In nanoseconds.

std::optional<Entry::Type> TypeOf(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return Entry::Type::kHardLink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return Entry::Type::kRegular;
    case AE_IFDIR:
      return Entry::Type::kDirectory;
    case AE_IFLNK:
      return Entry::Type::kSymlink;
    case AE_IFIFO:
      return Entry::Type::kFifo;
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFSOCK:
      return Entry::Type::kDevice;
    default:
      return std::nullopt;
  }
}

std::string Text(const char* text) { return text == nullptr ? std::string() : text; }

void ReadAttributes(archive_entry* from, Entry& to) {
  archive_entry_xattr_reset(from);
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr) continue;
    to.attributes.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
}

// libarchive takes -1.5 for half a second after -1. It loses the sign of -0.5.
void ReadTime(archive_entry* entry, Entry& result) {
  const std::int64_t seconds = archive_entry_mtime(entry);
  const long nanoseconds = std::clamp(archive_entry_mtime_nsec(entry), 0L, kSecond - 1);
  const bool down =
      seconds < 0 && nanoseconds != 0 && seconds != std::numeric_limits<std::int64_t>::min();
  result.seconds = down ? seconds - 1 : seconds;
  result.nanoseconds = down ? kSecond - nanoseconds : nanoseconds;
}

}  // namespace

ByteNames::ByteNames()
    : bytes_(::newlocale(LC_ALL_MASK, "C", nullptr)), before_(::uselocale(bytes_)) {}

ByteNames::~ByteNames() {
  ::uselocale(before_);
  if (bytes_ != nullptr) ::freelocale(bytes_);
}

Result<std::string_view> FdSource::Next() {
  while (true) {
    PYRO_RETURN_IF_ERROR(meter_.Wait(fd_, POLLIN));
    const ssize_t n = ::read(fd_, buffer_.data(), buffer_.size());
    if (n >= 0) return std::string_view(buffer_.data(), static_cast<std::size_t>(n));
    if (errno != EINTR && errno != EAGAIN) return sys::ErrnoError(errno, "read");
  }
}

TarReader::TarReader(Source& source, Meter& meter, ErrorCode bad)
    : source_(source),
      meter_(meter),
      bad_(bad),
      archive_(archive_read_new(), &archive_read_free),
      globals_(std::make_unique<PaxGlobals>(bad)) {}

TarReader::~TarReader() = default;

bool TarReader::has_globals() const { return !globals_->empty(); }

Result<std::unique_ptr<TarReader>> TarReader::Create(Source& source, Meter& meter, ErrorCode bad) {
  std::unique_ptr<TarReader> reader(new TarReader(source, meter, bad));
  struct ::archive* const handle = reader->archive_.get();
  if (handle == nullptr) return sys::ErrnoError(ENOMEM, "read an archive");
  reader->budget_ = kMaxHeaderBytes;
  if (archive_read_support_filter_none(handle) != ARCHIVE_OK ||
      archive_read_support_format_tar(handle) != ARCHIVE_OK ||
      archive_read_open(handle, reader.get(), nullptr, &Feed, nullptr) != ARCHIVE_OK) {
    return reader->Failure();
  }
  return reader;
}

long TarReader::Feed(struct ::archive* handle, void* self, const void** bytes) {
  auto& reader = *static_cast<TarReader*>(self);
  auto taken = reader.Take();
  if (!taken) {
    archive_set_error(handle, EIO, "%s", "no more bytes");
    if (!reader.error_) reader.error_ = std::move(taken).error();
    return -1;
  }
  *bytes = taken->data();
  return static_cast<long>(taken->size());
}

Result<std::string_view> TarReader::Take() {
  if (error_) return *error_;
  if (budget_ <= 0) return Bad("an entry's header is too long");
  PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, source_.Next());
  budget_ -= static_cast<std::int64_t>(bytes.size());
  PYRO_RETURN_IF_ERROR(meter_.CountBytes(bytes.size()));
  const auto size = static_cast<std::int64_t>(kept_.size());
  // libarchive may hold back a part of a block until it has the rest.
  const std::int64_t from = in_header_ ? header_from_ : kept_from_ + size - 2 * kBlock;
  if (const std::int64_t drop = std::min(from - kept_from_, size); drop > 0) {
    kept_.erase(0, static_cast<std::size_t>(drop));
    kept_from_ += drop;
  }
  kept_ += bytes;
  return bytes;
}

Error TarReader::Failure() {
  if (error_) return *error_;
  const int number = archive_errno(archive_.get());
  if (number == ENOMEM) return sys::ErrnoError(ENOMEM, "read an archive");
  return Bad(
      fmt::format("broken archive: {}", Printable(Text(archive_error_string(archive_.get())))));
}

Result<std::optional<Entry>> TarReader::Next() {
  while (true) {  // Read rather than skipped, so that the bytes do not count as a header's.
    PYRO_ASSIGN_OR_RETURN(const auto piece, Read());
    if (!piece) break;
  }
  budget_ = kMaxHeaderBytes;
  in_header_ = true;
  header_from_ = archive_filter_bytes(archive_.get(), 0);
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(archive_.get(), &entry);
  if (error_) return *error_;
  if (result == ARCHIVE_EOF) {
    PYRO_RETURN_IF_ERROR(ReadToEnd());
    return std::nullopt;
  }
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Failure();
  PYRO_ASSIGN_OR_RETURN(Entry converted, Convert(entry));
  PYRO_RETURN_IF_ERROR(globals_->Read(HeaderBytes()));
  PYRO_RETURN_IF_ERROR(globals_->Apply(converted));
  in_header_ = false;
  size_ = archive_entry_size(entry);  // A hard link may have content too.
  content_ = size_ > 0;
  regular_ = converted.type == Entry::Type::kRegular;
  left_ = size_;
  if (converted.data) {
    left_ = 0;
    for (const auto& range : *converted.data) left_ += range.length;
  }
  position_ = 0;
  return converted;
}

// The blocks of the entry read last, or of what libarchive took for the archive's end.
std::string_view TarReader::HeaderBytes() const {
  const std::int64_t begin = archive_read_header_position(archive_.get());
  const std::int64_t end = archive_filter_bytes(archive_.get(), 0);
  const auto from = static_cast<std::size_t>(std::max<std::int64_t>(begin - kept_from_, 0));
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(end - begin, 0));
  return std::string_view(kept_).substr(std::min(from, kept_.size()), size);
}

// A tar ends with two blocks of zeros; without them it was cut off between two entries. One of
// them is enough where the stream ends with it, since all entries came before it.
Status TarReader::ReadToEnd() {
  PYRO_ASSIGN_OR_RETURN(const std::size_t extended, globals_->Read(HeaderBytes()));
  const std::string_view mark = HeaderBytes().substr(extended);
  if (mark.empty() || mark.find_first_not_of('\0') != mark.npos) {
    return Bad("broken archive: it is cut off");
  }
  const std::int64_t end = archive_filter_bytes(archive_.get(), 0);
  std::string_view rest = std::string_view(kept_).substr(
      std::min(static_cast<std::size_t>(end - kept_from_), kept_.size()));
  std::uint64_t bytes = 0;
  bool zeros = true;
  in_header_ = false;
  while (true) {
    bytes += rest.size();
    zeros = zeros && rest.find_first_not_of('\0') == rest.npos;
    budget_ = kMaxHeaderBytes;
    PYRO_ASSIGN_OR_RETURN(rest, Take());
    if (rest.empty()) break;
  }
  if (zeros) return OkStatus();
  if (std::ssize(mark) < 2 * kBlock)
    return Bad("broken archive: a block of zeros is in its middle");
  meter_.CountTrailing(bytes);
  return OkStatus();
}

Result<Entry> TarReader::Convert(archive_entry* entry) {
  Entry result;
  result.name = Text(archive_entry_pathname(entry));
  const auto type = TypeOf(entry);
  if (!type) return Bad(fmt::format("entry '{}' is of an unknown kind", Printable(result.name)));
  result.type = *type;
  if (*type == Entry::Type::kHardLink) result.target = Text(archive_entry_hardlink(entry));
  if (*type == Entry::Type::kSymlink) result.target = Text(archive_entry_symlink(entry));
  result.mode = archive_entry_perm(entry) & 07777;
  result.uid = std::clamp<std::int64_t>(archive_entry_uid(entry), 0, kMaxId);
  result.gid = std::clamp<std::int64_t>(archive_entry_gid(entry), 0, kMaxId);
  ReadTime(entry, result);
  if (keeps_attributes_) ReadAttributes(entry, result);
  if (*type == Entry::Type::kDevice) {
    result.block = archive_entry_filetype(entry) == AE_IFBLK;
    result.device_major = static_cast<std::uint32_t>(archive_entry_rdevmajor(entry));
    result.device_minor = static_cast<std::uint32_t>(archive_entry_rdevminor(entry));
  }
  if (*type != Entry::Type::kRegular) return result;
  result.size = archive_entry_size(entry);
  bool broken = result.size < 0 || result.size > kMaxFileBytes;
  if (archive_entry_sparse_reset(entry) > 0) {
    result.data.emplace();
    std::int64_t end = 0;
    std::int64_t offset = 0;
    std::int64_t length = 0;
    while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK) {
      broken = broken || offset < end || length < 0 || length > result.size - offset;
      if (broken) break;
      end = offset + length;
      if (length > 0) result.data->push_back({offset, length});
    }
  }
  if (broken) return Bad(fmt::format("entry '{}' has an impossible size", Printable(result.name)));
  return result;
}

Result<std::optional<TarReader::Piece>> TarReader::Read() {
  while (content_) {
    budget_ = kMaxHeaderBytes;
    const void* data = nullptr;
    std::size_t bytes = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(archive_.get(), &data, &bytes, &offset);
    if (error_) return *error_;
    if (result == ARCHIVE_EOF) {
      content_ = false;
      // Otherwise a few bytes could stand for any number of zeros.
      if (regular_ && left_ != 0) return Bad("broken archive: a file is shorter than it says");
      break;
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Failure();
    if (bytes == 0) continue;
    const auto length = static_cast<std::int64_t>(bytes);
    if (offset < position_ || length > size_ - offset || (regular_ && length > left_)) {
      return Bad("broken archive: a file's parts are out of order");
    }
    position_ = offset + length;
    left_ -= length;
    return Piece{offset, {static_cast<const char*>(data), bytes}};
  }
  return std::nullopt;
}

}  // namespace pyro::archive
