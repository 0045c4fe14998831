#include "archive/copy.h"

#include <archive.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "archive/names.h"
#include "archive/pack.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::archive {
namespace {

// A gzip stream, decompressed.
class GzipSource : public Source {
 public:
  static Result<std::unique_ptr<GzipSource>> Create(Source& compressed) {
    std::unique_ptr<GzipSource> source(new GzipSource(compressed));
    struct ::archive* const handle = source->archive_.get();
    struct ::archive_entry* entry = nullptr;
    if (handle == nullptr) return sys::ErrnoError(ENOMEM, "read an archive");
    if (archive_read_support_filter_gzip(handle) != ARCHIVE_OK ||
        archive_read_support_format_raw(handle) != ARCHIVE_OK ||
        archive_read_support_format_empty(handle) != ARCHIVE_OK ||
        archive_read_open(handle, source.get(), nullptr, &Feed, nullptr) != ARCHIVE_OK) {
      return source->Failure();
    }
    if (const int result = archive_read_next_header(handle, &entry); result == ARCHIVE_EOF) {
      source->empty_ = true;
    } else if (result != ARCHIVE_OK) {
      return source->Failure();
    }
    return source;
  }

  Result<std::string_view> Next() override {
    if (empty_) return std::string_view();
    const la_ssize_t n = archive_read_data(archive_.get(), buffer_.data(), buffer_.size());
    if (n < 0) return Failure();
    return std::string_view(buffer_.data(), static_cast<std::size_t>(n));
  }

 private:
  explicit GzipSource(Source& compressed)
      : compressed_(compressed),
        archive_(archive_read_new(), &archive_read_free),
        buffer_(64 * 1024, '\0') {}

  static la_ssize_t Feed(struct ::archive* handle, void* self, const void** bytes) {
    auto& source = *static_cast<GzipSource*>(self);
    auto taken = source.compressed_.Next();
    if (!taken) {
      archive_set_error(handle, EIO, "%s", "no more bytes");
      source.error_ = std::move(taken).error();
      return -1;
    }
    *bytes = taken->data();
    return static_cast<la_ssize_t>(taken->size());
  }

  Error Failure() const {
    if (error_) return *error_;
    const char* const text = archive_error_string(archive_.get());
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("broken archive: {}", Printable(text == nullptr ? "no gzip data" : text)));
  }

  Source& compressed_;
  LibArchive archive_;
  std::string buffer_;
  std::optional<Error> error_;
  bool empty_ = false;
};

class Copier {
 public:
  Copier(TarReader& from, TarWriter& to, Owner owner, Meter& meter)
      : from_(from), to_(to), owner_(owner), meter_(meter) {}

  Status Run() {
    while (true) {
      PYRO_ASSIGN_OR_RETURN(auto entry, from_.Next());
      if (!entry) return to_.Finish();
      PYRO_RETURN_IF_ERROR(meter_.CountEntry());
      if (entry->type == Entry::Type::kDevice) {
        meter_.CountSkipped(entry->name);
        continue;
      }
      PYRO_RETURN_IF_ERROR(Check(*entry));
      if (owner_ == Owner::kRoot) entry->uid = entry->gid = 0;
      PYRO_RETURN_IF_ERROR(to_.Add(*entry));
      if (entry->type == Entry::Type::kRegular) PYRO_RETURN_IF_ERROR(CopyContent(entry->size));
    }
  }

 private:
  Status Check(Entry& entry) {
    PYRO_ASSIGN_OR_RETURN(std::string name, CleanName(entry.name, from_.bad()));
    const auto refuse = [&](std::string_view why) {
      return from_.Bad(fmt::format("entry '{}' {}", Printable(name), why));
    };
    if (name.empty()) {
      if (entry.type != Entry::Type::kDirectory) return refuse("has no name");
      name.assign(1, '.');
    }
    if (links_.IsBelowLink(name)) return refuse("lies below a symbolic link of the archive");
    if (entry.type == Entry::Type::kSymlink) {
      if (entry.target.empty() || entry.target.size() > kMaxNameBytes) {
        return refuse("is a symbolic link without a usable target");
      }
      PYRO_RETURN_IF_ERROR(links_.Add(name));
    }
    if (entry.type == Entry::Type::kHardLink) {
      PYRO_ASSIGN_OR_RETURN(entry.target, CleanName(entry.target, from_.bad()));
      if (entry.target.empty() || entry.target == name || links_.IsBelowLink(entry.target)) {
        return refuse("is a hard link to a target outside the archive");
      }
      if (links_.Contains(entry.target)) PYRO_RETURN_IF_ERROR(links_.Add(name));
    }
    entry.name = std::move(name);
    return OkStatus();
  }

  Status CopyContent(std::int64_t size) {
    std::int64_t position = 0;
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto piece, from_.Read());
      if (!piece) return to_.WriteZeros(size - position);
      PYRO_RETURN_IF_ERROR(to_.WriteZeros(piece->offset - position));
      PYRO_RETURN_IF_ERROR(to_.Write(piece->bytes));
      position = piece->offset + static_cast<std::int64_t>(piece->bytes.size());
    }
  }

  TarReader& from_;
  TarWriter& to_;
  const Owner owner_;
  Meter& meter_;
  LinkGuard links_;
};

Result<bool> IsGzip(int fd) {
  unsigned char magic[2] = {};
  const ssize_t n = ::pread(fd, magic, sizeof magic, 0);
  if (n < 0) return sys::ErrnoError(errno, "read");
  return n == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

Status CopyFrom(int in_fd, int out_fd, Meter& meter) {
  const ByteNames byte_names;
  FdSource file(in_fd, meter);
  PYRO_ASSIGN_OR_RETURN(const bool gzip, IsGzip(in_fd));
  std::unique_ptr<GzipSource> inner;
  if (gzip) {
    PYRO_ASSIGN_OR_RETURN(inner, GzipSource::Create(file));
  }
  Source& source = gzip ? static_cast<Source&>(*inner) : file;
  PYRO_ASSIGN_OR_RETURN(const auto reader,
                        TarReader::Create(source, meter, ErrorCode::kInvalidArgument));
  PYRO_ASSIGN_OR_RETURN(const auto writer,
                        TarWriter::Create(out_fd, meter, TarWriter::Counting::kNo));
  return CopyEntries(*reader, *writer, Owner::kRoot, meter);
}

}  // namespace

Status CopyEntries(TarReader& from, TarWriter& to, Owner owner, Meter& meter) {
  return Copier(from, to, owner, meter).Run();
}

Result<Summary> CopyArchive(const std::filesystem::path& file, int out_fd,
                            const Operation& operation) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenFile(file, O_RDONLY | O_NOCTTY));
  Meter meter(operation);
  if (Status status = CopyFrom(fd.get(), out_fd, meter); !status) {
    Error error = std::move(status).error();
    if (error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kLimit) {
      error.message = fmt::format("'{}': {}", Printable(file.native()), error.message);
    }
    return error;
  }
  meter.Finish();
  return meter.summary();
}

bool HasArchiveName(const std::filesystem::path& file) {
  const std::string& name = file.native();
  return name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tgz");
}

}  // namespace pyro::archive
