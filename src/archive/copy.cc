#include "archive/copy.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "archive/formats.h"
#include "archive/names.h"
#include "archive/pack.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::archive {
namespace {

class Copier {
 public:
  Copier(TarReader& from, TarWriter& to, Owner owner, Meter& meter, const Patterns& exclude)
      : from_(from), to_(to), owner_(owner), meter_(meter), exclude_(exclude) {}

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
      if (IsExcluded(entry->name, entry->type)) continue;
      if (entry->type == Entry::Type::kHardLink && IsExcluded(entry->target, entry->type)) {
        return from_.Bad(fmt::format("entry '{}' is a hard link to '{}', which is excluded",
                                     Printable(entry->name), Printable(entry->target)));
      }
      if (owner_ == Owner::kRoot) entry->uid = entry->gid = 0;
      PYRO_RETURN_IF_ERROR(to_.Add(*entry));
      if (entry->type == Entry::Type::kSymlink && TellsGitPath(entry->name)) {
        meter_.NoteGitPath(entry->name, entry->target, true);
      }
      if (entry->type == Entry::Type::kRegular) PYRO_RETURN_IF_ERROR(CopyContent(*entry));
    }
  }

 private:
  bool IsExcluded(std::string_view name, Entry::Type type) const {
    return exclude_.MatchWithParents(name, type == Entry::Type::kDirectory
                                               ? Patterns::Kind::kDirectory
                                               : Patterns::Kind::kOther);
  }

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

  Status CopyContent(const Entry& entry) {
    const bool tells = TellsGitPath(entry.name);
    std::string beginning;
    std::int64_t position = 0;
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto piece, from_.Read());
      if (!piece) break;
      if (tells) beginning += piece->bytes.substr(0, kMaxGitPathBytes - beginning.size());
      PYRO_RETURN_IF_ERROR(to_.WriteZeros(piece->offset - position));
      PYRO_RETURN_IF_ERROR(to_.Write(piece->bytes));
      position = piece->offset + static_cast<std::int64_t>(piece->bytes.size());
    }
    if (tells) meter_.NoteGitPath(entry.name, beginning, false);
    return to_.WriteZeros(entry.size - position);
  }

  TarReader& from_;
  TarWriter& to_;
  const Owner owner_;
  Meter& meter_;
  const Patterns& exclude_;
  LinkGuard links_;
};

Result<std::string> BeginningOf(int fd) {
  std::string bytes(kBeginningBytes, '\0');
  const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), 0);
  if (n < 0) return sys::ErrnoError(errno, "read");
  bytes.resize(static_cast<std::size_t>(n));
  return bytes;
}

// A descriptor that may wait for ever, until the other end of the copy is gone.
class StreamSource : public Source {
 public:
  StreamSource(int in_fd, int out_fd, int cancel_fd)
      : polls_{{{in_fd, POLLIN, 0}, {out_fd, 0, 0}, {cancel_fd, POLLIN, 0}}} {}

  // Its beginning, which Next() returns once more.
  Result<std::string_view> Begin() {
    while (buffer_.size() < kBeginningBytes) {
      PYRO_ASSIGN_OR_RETURN(const bool more, Fill());
      if (!more) break;
    }
    return std::string_view(buffer_);
  }

  Result<std::string_view> Next() override {
    given_ = std::exchange(buffer_, std::move(given_));
    buffer_.clear();
    if (given_.empty()) {
      PYRO_RETURN_IF_ERROR(Fill());
      std::swap(given_, buffer_);
    }
    return std::string_view(given_);
  }

 private:
  // False: at the end.
  Result<bool> Fill() {
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kPieceBytes);
    while (true) {
      ::poll(polls_.data(), polls_.size(), -1);
      if (polls_[2].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
      if ((polls_[1].revents & POLLERR) != 0) return sys::ErrnoError(EPIPE, "write");
      if (polls_[0].revents == 0) continue;
      const ssize_t n = ::read(polls_[0].fd, buffer_.data() + before, kPieceBytes);
      if (n < 0 && errno != EAGAIN && errno != EINTR) return sys::ErrnoError(errno, "read");
      if (n < 0) continue;
      buffer_.resize(before + static_cast<std::size_t>(n));
      return n > 0;
    }
  }

  static constexpr std::size_t kPieceBytes = 64 * 1024;

  std::array<pollfd, 3> polls_;
  std::string buffer_;
  std::string given_;  // By the last Next().
};

Status CopyFrom(Source& source, int out_fd, Meter& meter, const Patterns& exclude,
                Owner owner = Owner::kRoot) {
  PYRO_ASSIGN_OR_RETURN(const auto reader,
                        TarReader::Create(source, meter, ErrorCode::kInvalidArgument));
  PYRO_ASSIGN_OR_RETURN(const auto writer,
                        TarWriter::Create(out_fd, meter, TarWriter::Counting::kNo));
  return CopyEntries(*reader, *writer, owner, meter, exclude);
}

// `source` is at its beginning.
Status CopyAny(Source& source, std::string_view beginning, int out_fd, Meter& meter,
               const Patterns& exclude, Owner owner) {
  const ByteNames byte_names;
  const std::string_view foreign = ForeignFormatOf(beginning);
  if (const Compression compression = CompressionOf(beginning); compression != Compression::kNone) {
    PYRO_ASSIGN_OR_RETURN(const auto plain, Decompress(source, compression));
    return CopyFrom(*plain, out_fd, meter, exclude, owner);
  }
  Status status = CopyFrom(source, out_fd, meter, exclude, owner);
  // Only now: a plain tar may well begin with a name like that.
  if (status || foreign.empty() || status.error().code != ErrorCode::kInvalidArgument)
    return status;
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("it is of the format {}", foreign),
                   fmt::format("give a tar, plain or as {}", kArchiveNames));
}

Result<Summary> Summarise(Status status, Meter& meter, std::string_view name) {
  if (!status) {
    Error error = std::move(status).error();
    if (error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kLimit) {
      error.message = fmt::format("'{}': {}", Printable(name), error.message);
    }
    return error;
  }
  meter.Finish();
  return meter.summary();
}

}  // namespace

Status CopyEntries(TarReader& from, TarWriter& to, Owner owner, Meter& meter,
                   const Patterns& exclude) {
  return Copier(from, to, owner, meter, exclude).Run();
}

Result<Summary> CopyArchive(const std::filesystem::path& file, int out_fd,
                            const Operation& operation, const Patterns& exclude,
                            std::string_view name) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenFile(file, O_RDONLY | O_NOCTTY));
  Meter meter(operation);
  FdSource source(fd.get(), meter);
  const auto beginning = BeginningOf(fd.get());
  Status status = beginning ? CopyAny(source, *beginning, out_fd, meter, exclude, Owner::kRoot)
                            : Status(beginning.error());
  return Summarise(std::move(status), meter, name.empty() ? file.native() : name);
}

Result<Summary> CopyStream(int in_fd, int out_fd, const Operation& operation) {
  Meter meter(operation);
  StreamSource source(in_fd, out_fd, operation.cancel_fd);
  const auto beginning = source.Begin();
  Status status = beginning
                      ? CopyAny(source, std::string(*beginning), out_fd, meter, {}, Owner::kKeep)
                      : Status(beginning.error());
  return Summarise(std::move(status), meter, "-");
}

}  // namespace pyro::archive
