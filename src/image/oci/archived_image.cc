#include "image/oci/archived_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "archive/formats.h"
#include "archive/meter.h"
#include "archive/tar.h"
#include "base/text.h"
#include "base/try.h"
#include "image/oci/blob_store.h"
#include "image/store/digest.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexName = "index.json";
constexpr std::string_view kDockerManifestName = "manifest.json";
constexpr std::string_view kBlobFolder = "blobs/sha256/";
constexpr std::size_t kMaxNoted = 20'000;  // Configurations that a Docker archive may have.

Error NotOfThatKind(const fs::path& path, std::string_view why, std::string hint) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' {}", Printable(path.native()), why), std::move(hint));
}

// A file that is an archive, read as a plain tar.
class OpenArchive {
 public:
  static Result<std::unique_ptr<OpenArchive>> Create(const fs::path& path,
                                                     const ProgressFn& progress,
                                                     Cancellation cancel) {
    // Without O_NONBLOCK the open of a pipe would wait for its writer.
    auto fd = sys::OpenFile(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (!fd) {
      Error error = std::move(fd).error();
      if (error.code == ErrorCode::kNotFound) error.hint = "check its path";
      return error;
    }
    struct stat info {};
    if (::fstat(fd->get(), &info) != 0) return sys::ErrnoError(errno, "stat", path.native());
    if (S_ISDIR(info.st_mode)) {
      return NotOfThatKind(path, "is a directory", fmt::format("oci-layout:{}", path.native()));
    }
    if (!S_ISREG(info.st_mode)) return NotOfThatKind(path, "is no file", "give a file");
    std::unique_ptr<OpenArchive> opened(
        new OpenArchive(path, std::move(*fd), info.st_size, progress, cancel));
    PYRO_RETURN_IF_ERROR(opened->Open());
    return opened;
  }

  bool compressed() const { return decompressed_ != nullptr; }

  // Of the plain tar; empty at its end. Not together with NextFile.
  Result<std::string_view> NextBytes() {
    auto bytes = source().Next();
    if (!bytes) return Explain(std::move(bytes).error());
    PYRO_RETURN_IF_ERROR(meter_.CountBytes(bytes->size()));
    return bytes;
  }

  // The next regular file, its name without a leading "./". nullopt at the end.
  Result<std::optional<archive::Entry>> NextFile() {
    if (reader_ == nullptr) {
      auto reader = archive::TarReader::Create(source(), meter_, ErrorCode::kDataLoss);
      if (!reader) return Explain(std::move(reader).error());
      reader_ = std::move(*reader);
    }
    for (;;) {
      auto entry = reader_->Next();
      if (!entry) return Explain(std::move(entry).error());
      if (!*entry) return std::nullopt;
      any_ = true;
      if ((*entry)->type != archive::Entry::Type::kRegular) continue;
      while ((*entry)->name.starts_with("./")) (*entry)->name.erase(0, 2);
      return std::move(**entry);
    }
  }

  // The content of the entry, which is at most kMaxImageJsonBytes long.
  Result<std::string> Content(const archive::Entry& entry) {
    if (entry.size > static_cast<std::int64_t>(kMaxImageJsonBytes)) {
      return MakeError(ErrorCode::kLimit,
                       fmt::format("'{}' in '{}' has more than {}", Printable(entry.name),
                                   Printable(path_.native()), FormatBytes(kMaxImageJsonBytes)));
    }
    std::string content(static_cast<std::size_t>(entry.size), '\0');
    PYRO_RETURN_IF_ERROR(ForEachPiece([&](const archive::TarReader::Piece& piece) {
      piece.bytes.copy(content.data() + piece.offset, piece.bytes.size());
      return OkStatus();
    }));
    return content;
  }

  template <typename Use>
  Status ForEachPiece(const Use& use) {
    for (;;) {
      auto piece = reader_->Read();
      if (!piece) return Explain(std::move(piece).error());
      if (!*piece) return OkStatus();
      PYRO_RETURN_IF_ERROR(use(**piece));
    }
  }

  Error Explain(Error error) const {
    if (error.code == ErrorCode::kCancelled) {
      error.message = "the pull was stopped";
      error.hint = "pull it again";
    } else if (error.code == ErrorCode::kDataLoss || error.code == ErrorCode::kInvalidArgument) {
      if (!any_ && !compressed()) return NotOfThatKind(path_, "is no tar archive", "");
      error.code = ErrorCode::kDataLoss;
      error.message = fmt::format("'{}': {}", Printable(path_.native()), error.message);
      error.hint = "make or copy the archive again";
    }
    return error;
  }

 private:
  OpenArchive(const fs::path& path, sys::UniqueFd fd, off_t size, const ProgressFn& progress,
              Cancellation cancel)
      : path_(path), fd_(std::move(fd)), operation_{cancel.fd, {}, 0} {
    operation_.on_progress = [this, size, &progress](const archive::Progress&) {
      if (!progress) return;
      const auto at = static_cast<double>(::lseek(fd_.get(), 0, SEEK_CUR));
      progress({"check", fmt::format("reading {}", Printable(path_.filename().native(), 80)),
                size <= 0 ? 1.0 : std::clamp(at / static_cast<double>(size), 0.0, 1.0)});
    };
  }

  archive::Source& source() { return compressed() ? *decompressed_ : file_; }

  Status Open() {
    std::string beginning(archive::kBeginningBytes, '\0');
    const ssize_t n = ::pread(fd_.get(), beginning.data(), beginning.size(), 0);
    if (n < 0) return sys::ErrnoError(errno, "read", path_.native());
    beginning.resize(static_cast<std::size_t>(n));
    const auto compression = archive::CompressionOf(beginning);
    if (compression == archive::Compression::kNone) return OkStatus();
    const archive::ByteNames byte_names;
    auto source = archive::Decompress(file_, compression);
    if (!source) return Explain(std::move(source).error());
    decompressed_ = std::move(*source);
    return OkStatus();
  }

  const fs::path path_;
  const sys::UniqueFd fd_;
  archive::Operation operation_;
  archive::Meter meter_{operation_};
  archive::FdSource file_{fd_.get(), meter_};
  std::unique_ptr<archive::Source> decompressed_;
  std::unique_ptr<archive::TarReader> reader_;
  bool any_ = false;  // An entry has been read.
};

std::string NameInArchive(std::string name, const fs::path& location) {
  if (name.empty()) return name;
  if (name.find_first_of(":/") == std::string::npos) {
    name = fmt::format("{}:{}", StemOf(location), name);
  }
  return CheckImageName(name) ? name : std::string();
}

Result<ArchivedImage> FromIndex(std::string_view json, const ImageSource& source) {
  PYRO_ASSIGN_OR_RETURN(const ImageDocument index, ParseImageDocument(json));
  if (!index.is_index) {
    return NotOfThatKind(source.location, "has no list of images in its index.json", "");
  }
  auto entry = ChooseEntry(index, source.tag);
  if (!entry) {
    Error error = std::move(entry).error();
    error.message = fmt::format("'{}': {}", Printable(source.location), error.message);
    return error;
  }
  ArchivedImage image;
  image.entry = **entry;
  image.source_digest = image.entry.digest;
  const Descriptor& chosen = image.entry;
  image.own_name =
      NameInArchive(chosen.full_name.empty() ? chosen.name : chosen.full_name, source.location);
  return image;
}

Result<ArchivedImage> FromLayout(const ImageSource& source) {
  const fs::path directory = source.location;
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    return sys::ErrnoError(errno, "open", directory.native());
  }
  if (!S_ISDIR(info.st_mode)) {
    return NotOfThatKind(directory, "is no directory",
                         fmt::format("oci-archive:{}", directory.native()));
  }
  const auto json = ReadRegularFile(directory / kIndexName, kMaxImageJsonBytes);
  if (!json && json.error().code == ErrorCode::kNotFound) {
    return NotOfThatKind(directory, "is no OCI layout: it has no index.json", "");
  }
  if (!json) return json.error();
  return FromIndex(*json, source);
}

Result<ArchivedImage> FromOciArchive(const ImageSource& source, const ProgressFn& progress,
                                     Cancellation cancel) {
  const fs::path path = source.location;
  PYRO_ASSIGN_OR_RETURN(const auto opened, OpenArchive::Create(path, progress, cancel));
  bool docker = false;
  for (;;) {
    PYRO_ASSIGN_OR_RETURN(const auto entry, opened->NextFile());
    if (!entry) break;
    docker = docker || entry->name == kDockerManifestName;
    if (entry->name != kIndexName) continue;
    PYRO_ASSIGN_OR_RETURN(const std::string json, opened->Content(*entry));
    return FromIndex(json, source);
  }
  return NotOfThatKind(path, "is no OCI archive: it has no index.json",
                       docker ? fmt::format("docker-archive:{}", path.native()) : "");
}

Result<ArchivedImage> FromDockerArchive(const ImageSource& source, const ProgressFn& progress,
                                        Cancellation cancel) {
  const fs::path path = source.location;
  PYRO_ASSIGN_OR_RETURN(const auto opened, OpenArchive::Create(path, progress, cancel));
  std::optional<std::string> json;
  std::map<std::string, std::string> digests;  // Of what may be a configuration, by its name.
  bool oci = false;
  for (;;) {
    PYRO_ASSIGN_OR_RETURN(const auto entry, opened->NextFile());
    if (!entry) break;
    const std::string& name = entry->name;
    oci = oci || name == kIndexName;
    if (name == kDockerManifestName && !json) {
      PYRO_ASSIGN_OR_RETURN(json, opened->Content(*entry));
    } else if (digests.size() < kMaxNoted &&
               entry->size <= static_cast<std::int64_t>(kMaxImageJsonBytes) &&
               !name.ends_with(".tar") && !digests.contains(name)) {
      PYRO_ASSIGN_OR_RETURN(const std::string content, opened->Content(*entry));
      digests.emplace(name, fmt::format("sha256:{}", Sha256Hex(content)));
    }
  }
  if (!json) {
    return NotOfThatKind(path, "is no Docker archive: it has no manifest.json",
                         oci ? fmt::format("oci-archive:{}", path.native()) : "");
  }
  PYRO_ASSIGN_OR_RETURN(const auto images, ParseDockerManifest(*json));
  auto place = ChooseDockerImage(images, source.tag);
  if (!place) {
    Error error = std::move(place).error();
    error.message = fmt::format("'{}': {}", Printable(path.native()), error.message);
    return error;
  }
  const DockerImage& chosen = images[*place];
  const auto digest = digests.find(chosen.config);
  if (digest == digests.end()) {
    return MakeError(
        ErrorCode::kDataLoss,
        fmt::format("'{}' has no configuration of its image", Printable(path.native())),
        "make or copy the archive again");
  }
  ArchivedImage image;
  image.place = *place;
  image.source_digest = digest->second;
  const auto& tags = chosen.tags;
  const bool named = std::find(tags.begin(), tags.end(), source.tag) != tags.end();
  image.own_name = NameInArchive(named          ? source.tag
                                 : tags.empty() ? std::string()
                                                : tags.front(),
                                 path);
  return image;
}

}  // namespace

Result<ArchivedImage> LookIntoArchive(const ImageSource& source, const ProgressFn& progress,
                                      Cancellation cancel) {
  switch (source.transport) {
    case Transport::kOciArchive:
      return FromOciArchive(source, progress, cancel);
    case Transport::kDockerArchive:
      return FromDockerArchive(source, progress, cancel);
    case Transport::kOciLayout:
      return FromLayout(source);
    case Transport::kRegistry:
      break;
  }
  return MakeError(ErrorCode::kInternal, "a registry is no archive");
}

Status ExtractBlobs(const fs::path& path, const fs::path& directory, const ProgressFn& progress,
                    Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(const auto opened, OpenArchive::Create(path, progress, cancel));
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory / kBlobFolder));
  for (;;) {
    PYRO_ASSIGN_OR_RETURN(const auto entry, opened->NextFile());
    if (!entry) return OkStatus();
    if (!entry->name.starts_with(kBlobFolder)) continue;
    const std::string hex = entry->name.substr(kBlobFolder.size());
    if (!IsSha256Digest("sha256:" + hex)) continue;
    const fs::path file = directory / kBlobFolder / hex;
    auto out = sys::OpenFile(file, O_WRONLY | O_CREAT | O_EXCL);
    if (!out && out.error().code == ErrorCode::kAlreadyExists) continue;  // The same once more.
    if (!out) return std::move(out).error();
    PYRO_RETURN_IF_ERROR(opened->ForEachPiece([&](const archive::TarReader::Piece& piece) {
      if (::lseek(out->get(), piece.offset, SEEK_SET) < 0) {
        return Status(sys::ErrnoError(errno, "seek in", file.native()));
      }
      return sys::WriteAll(out->get(), piece.bytes);
    }));
    if (::ftruncate(out->get(), entry->size) != 0) {
      return sys::ErrnoError(errno, "write", file.native());
    }
  }
}

Result<fs::path> PlainArchive(const fs::path& path, const fs::path& to, const ProgressFn& progress,
                              Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(const auto opened, OpenArchive::Create(path, progress, cancel));
  if (!opened->compressed()) return path;
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd out, sys::OpenFile(to, O_WRONLY | O_CREAT | O_EXCL));
  for (;;) {
    PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, opened->NextBytes());
    if (bytes.empty()) return to;
    PYRO_RETURN_IF_ERROR(sys::WriteAll(out.get(), bytes));
  }
}

}  // namespace pyro::image
