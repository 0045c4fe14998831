#include "archive/copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

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

Status CopyFrom(Source& source, int out_fd, Meter& meter, const Patterns& exclude) {
  PYRO_ASSIGN_OR_RETURN(const auto reader,
                        TarReader::Create(source, meter, ErrorCode::kInvalidArgument));
  PYRO_ASSIGN_OR_RETURN(const auto writer,
                        TarWriter::Create(out_fd, meter, TarWriter::Counting::kNo));
  return CopyEntries(*reader, *writer, Owner::kRoot, meter, exclude);
}

Status CopyFile(int in_fd, int out_fd, Meter& meter, const Patterns& exclude) {
  const ByteNames byte_names;
  FdSource file(in_fd, meter);
  PYRO_ASSIGN_OR_RETURN(const std::string beginning, BeginningOf(in_fd));
  if (const Compression compression = CompressionOf(beginning); compression != Compression::kNone) {
    PYRO_ASSIGN_OR_RETURN(const auto source, Decompress(file, compression));
    return CopyFrom(*source, out_fd, meter, exclude);
  }
  Status status = CopyFrom(file, out_fd, meter, exclude);
  const std::string_view foreign = ForeignFormatOf(beginning);
  // Only now: a plain tar may well begin with a name like that.
  if (status || foreign.empty() || status.error().code != ErrorCode::kInvalidArgument)
    return status;
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("it is of the format {}", foreign),
                   fmt::format("give a tar, plain or as {}", kArchiveNames));
}

}  // namespace

Status CopyEntries(TarReader& from, TarWriter& to, Owner owner, Meter& meter,
                   const Patterns& exclude) {
  return Copier(from, to, owner, meter, exclude).Run();
}

Result<Summary> CopyArchive(const std::filesystem::path& file, int out_fd,
                            const Operation& operation, const Patterns& exclude) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenFile(file, O_RDONLY | O_NOCTTY));
  Meter meter(operation);
  if (Status status = CopyFile(fd.get(), out_fd, meter, exclude); !status) {
    Error error = std::move(status).error();
    if (error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kLimit) {
      error.message = fmt::format("'{}': {}", Printable(file.native()), error.message);
    }
    return error;
  }
  meter.Finish();
  return meter.summary();
}

}  // namespace pyro::archive
