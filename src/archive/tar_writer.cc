#include <archive.h>
#include <archive_entry.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "archive/tar.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::archive {
namespace {

constexpr int kBlockBytes = 64 * 1024;
constexpr int kRecordBytes = 10 * 1024;  // A tar's length is a multiple of it, by custom.

constexpr std::size_t kZeroBytes = 1 << 30;

unsigned FileTypeOf(const Entry& entry) {
  switch (entry.type) {
    case Entry::Type::kDirectory:
      return AE_IFDIR;
    case Entry::Type::kSymlink:
      return AE_IFLNK;
    case Entry::Type::kFifo:
      return AE_IFIFO;
    case Entry::Type::kDevice:
      return entry.block ? AE_IFBLK : AE_IFCHR;
    case Entry::Type::kRegular:
    case Entry::Type::kHardLink:
      break;
  }
  return AE_IFREG;
}

// libarchive writes the two numbers with a point between: -2 and 0.5 would be -2.5. It cannot write
// -0.5, so the last second before 1970 is rounded down.
void FillTime(archive_entry* to, const Entry& from) {
  const bool down = from.seconds < 0 && from.nanoseconds != 0;
  if (!down) return archive_entry_set_mtime(to, from.seconds, from.nanoseconds);
  if (from.seconds == -1) return archive_entry_set_mtime(to, -1, 0);
  archive_entry_set_mtime(to, from.seconds + 1, 1'000'000'000L - from.nanoseconds);
}

void Fill(archive_entry* to, const Entry& from) {
  archive_entry_set_pathname(to, from.name.c_str());
  archive_entry_set_filetype(to, FileTypeOf(from));
  archive_entry_set_perm(to, from.mode);
  archive_entry_set_uid(to, from.uid);
  archive_entry_set_gid(to, from.gid);
  FillTime(to, from);
  archive_entry_set_size(to, from.type == Entry::Type::kRegular ? from.size : 0);
  if (from.type == Entry::Type::kSymlink) archive_entry_set_symlink(to, from.target.c_str());
  if (from.type == Entry::Type::kHardLink) archive_entry_set_hardlink(to, from.target.c_str());
  if (from.type == Entry::Type::kDevice) {
    archive_entry_set_rdevmajor(to, from.device_major);
    archive_entry_set_rdevminor(to, from.device_minor);
  }
  for (const auto& [name, value] : from.attributes) {
    archive_entry_xattr_add_entry(to, name.c_str(), value.data(), value.size());
  }
  if (from.type != Entry::Type::kRegular || !from.data) return;
  // One empty part stands for a file that is a single hole.
  if (from.data->empty()) archive_entry_sparse_add_entry(to, 0, 0);
  for (const auto& range : *from.data) {
    archive_entry_sparse_add_entry(to, range.offset, range.length);
  }
}

bool AddFilter(struct ::archive* handle, Compression compression) {
  switch (compression) {
    case Compression::kGzip:  // Without the time, so that the same content makes the same bytes.
      return archive_write_add_filter_gzip(handle) == ARCHIVE_OK &&
             archive_write_set_filter_option(handle, "gzip", "timestamp", nullptr) == ARCHIVE_OK;
    case Compression::kBzip2:
      return archive_write_add_filter_bzip2(handle) == ARCHIVE_OK;
    case Compression::kXz:
      return archive_write_add_filter_xz(handle) == ARCHIVE_OK;
    case Compression::kZstd:
      return archive_write_add_filter_zstd(handle) == ARCHIVE_OK;
    case Compression::kNone:
      break;
  }
  return archive_write_add_filter_none(handle) == ARCHIVE_OK;
}

const char* MapZeros() {
  void* const zeros =
      ::mmap(nullptr, kZeroBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return zeros == MAP_FAILED ? nullptr : static_cast<const char*>(zeros);
}

}  // namespace

TarWriter::TarWriter(int fd, Meter& meter, Counting counting)
    : fd_(fd),
      meter_(meter),
      counting_(counting),
      zeros_(MapZeros(), [](const char* zeros) { ::munmap(const_cast<char*>(zeros), kZeroBytes); }),
      archive_(archive_write_new(), &archive_write_free) {}

TarWriter::~TarWriter() {
  // Freeing it writes the rest of the entry and the end mark. A reader must not see them after an
  // error.
  closed_ = true;
  archive_.reset();  // While the rest of this object is still there for Drain().
}

Result<std::unique_ptr<TarWriter>> TarWriter::Create(int fd, Meter& meter, Counting counting,
                                                     Compression compression) {
  std::unique_ptr<TarWriter> writer(new TarWriter(fd, meter, counting));
  struct ::archive* const handle = writer->archive_.get();
  if (handle == nullptr || writer->zeros_ == nullptr) {
    return sys::ErrnoError(ENOMEM, "write an archive");
  }
  // Attributes in the form that other programs read, too, and only in that.
  if (archive_write_set_format_pax(handle) != ARCHIVE_OK ||
      archive_write_set_format_option(handle, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
      !AddFilter(handle, compression) ||
      archive_write_set_bytes_per_block(handle, kBlockBytes) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(
          handle, compression == Compression::kNone ? kRecordBytes : 1) != ARCHIVE_OK ||
      archive_write_open(handle, writer.get(), nullptr, &Drain, nullptr) != ARCHIVE_OK) {
    return writer->Failure();
  }
  return writer;
}

// Fails only to have libarchive give up: failing before that would make it leak its buffers. What
// comes after an error is dropped, and the caller of libarchive looks for the error.
long TarWriter::Drain(struct ::archive* handle, void* self, const void* bytes, std::size_t count) {
  auto& writer = *static_cast<TarWriter*>(self);
  if (writer.closed_) {
    archive_set_error(handle, EIO, "%s", "closed");
    return -1;
  }
  if (!writer.error_) {
    Status status = writer.Put({static_cast<const char*>(bytes), count});
    if (!status) writer.error_ = std::move(status).error();
  }
  return static_cast<long>(count);
}

Status TarWriter::Put(std::string_view bytes) {
  if (counting_ == Counting::kYes) PYRO_RETURN_IF_ERROR(meter_.CountBytes(bytes.size()));
  return meter_.Write(fd_, bytes);
}

Error TarWriter::Failure() {
  if (error_) return *error_;
  const int number = archive_errno(archive_.get());
  if (number == ENOMEM) return sys::ErrnoError(ENOMEM, "write an archive");
  const char* const text = archive_error_string(archive_.get());
  return MakeError(ErrorCode::kInternal,
                   fmt::format("write an archive: {}", Printable(text == nullptr ? "" : text)));
}

Status TarWriter::Add(const Entry& entry) {
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> header(archive_entry_new(),
                                                                             &archive_entry_free);
  if (header == nullptr) return sys::ErrnoError(ENOMEM, "write an archive");
  Fill(header.get(), entry);
  const int result = archive_write_header(archive_.get(), header.get());
  if (error_ || (result != ARCHIVE_OK && result != ARCHIVE_WARN)) return Failure();
  return OkStatus();
}

Status TarWriter::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const la_ssize_t n = archive_write_data(archive_.get(), bytes.data(), bytes.size());
    if (error_ || n <= 0) return Failure();
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return OkStatus();
}

Status TarWriter::WriteZeros(std::int64_t count) {
  while (count > 0) {
    const auto now = std::min(count, static_cast<std::int64_t>(kZeroBytes));
    PYRO_RETURN_IF_ERROR(Write({zeros_.get(), static_cast<std::size_t>(now)}));
    count -= now;
  }
  return OkStatus();
}

Status TarWriter::Finish() {
  if (archive_write_close(archive_.get()) != ARCHIVE_OK || error_) return Failure();
  return OkStatus();
}

}  // namespace pyro::archive
