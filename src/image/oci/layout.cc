#include "image/oci/layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "archive/meter.h"
#include "archive/operation.h"
#include "archive/tar.h"
#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "image/oci/blob_store.h"
#include "image/oci/image_index.h"
#include "image/oci/skopeo.h"
#include "image/store/digest.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOciLayoutMark = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::string_view kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kLayerType = "application/vnd.oci.image.layer.v1.tar";
constexpr std::string_view kBlobs = "blobs/sha256";
constexpr std::size_t kPieceBytes = 256 << 10;

// Without the fields that say nothing: other programs take an empty text for a value.
Json WithoutEmpty(const Json& object) {
  Json kept = Json::object();
  for (const auto& [name, value] : object.items()) {
    const bool empty = value.empty() || (value.is_string() && value.get<std::string>().empty());
    if (!empty) kept[name] = value;
  }
  return kept;
}

Json HistoryOf(const LayoutImage& image) {
  Json history = Json::array();
  for (const HistoryLine& line : image.history) {
    Json one = {{"created", line.created}, {"created_by", line.created_by}};
    if (!line.comment.empty()) one["comment"] = line.comment;
    if (&line != &image.history.back()) one["empty_layer"] = true;
    history.push_back(std::move(one));
  }
  return history;
}

Result<Json> AddBlob(const fs::path& layout, std::string_view type, const std::string& bytes) {
  const std::string hex = Sha256Hex(bytes);
  PYRO_RETURN_IF_ERROR(sys::WriteFileAtomically(layout / kBlobs / hex, bytes, 0644));
  return Json{{"mediaType", type}, {"digest", "sha256:" + hex}, {"size", bytes.size()}};
}

// Of a file of the layout, at its place in the archive.
class ArchiveWriter {
 public:
  ArchiveWriter(archive::TarWriter& tar, const ProgressFn& progress, Cancellation cancel)
      : tar_(tar), progress_(progress), cancel_(cancel) {}

  Status AddText(const std::string& name, std::string_view text) {
    PYRO_RETURN_IF_ERROR(Begin(name, std::ssize(text)));
    return tar_.Write(text);
  }

  Status AddFolder(const std::string& name) {
    archive::Entry entry;
    entry.type = archive::Entry::Type::kDirectory;
    entry.name = name;
    entry.mode = 0755;
    return tar_.Add(entry);
  }

  Status AddFile(const std::string& name, const fs::path& file, std::uint64_t size) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                          sys::OpenRegularFile(file, O_RDONLY | O_NOFOLLOW));
    PYRO_RETURN_IF_ERROR(Begin(name, static_cast<std::int64_t>(size)));
    std::string piece(kPieceBytes, '\0');
    for (std::uint64_t left = size; left > 0;) {
      if (Cancelled(cancel_)) return MakeError(ErrorCode::kCancelled, "the export was stopped");
      const ssize_t n = ::read(fd.get(), piece.data(), std::min<std::uint64_t>(left, kPieceBytes));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return sys::ErrnoError(errno, "read", file.native());
      if (n == 0) return MakeError(ErrorCode::kDataLoss, "a blob of the image was cut short");
      PYRO_RETURN_IF_ERROR(
          tar_.Write(std::string_view(piece).substr(0, static_cast<std::size_t>(n))));
      left -= static_cast<std::uint64_t>(n);
      done_ += static_cast<std::uint64_t>(n);
      Report();
    }
    return OkStatus();
  }

  void ExpectBytes(std::uint64_t bytes) { all_ += bytes; }

 private:
  Status Begin(const std::string& name, std::int64_t size) {
    archive::Entry entry;
    entry.name = name;
    entry.mode = 0644;
    entry.size = size;
    return tar_.Add(entry);
  }

  void Report() {
    if (!progress_ || (done_ - reported_ < (1 << 20) && done_ != all_)) return;
    reported_ = done_;
    progress_({"write", fmt::format("{} of {}", FormatBytes(done_), FormatBytes(all_)),
               all_ == 0 ? 1.0 : static_cast<double>(done_) / static_cast<double>(all_)});
  }

  archive::TarWriter& tar_;
  const ProgressFn& progress_;
  const Cancellation cancel_;
  std::uint64_t all_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t reported_ = 0;
};

}  // namespace

Status WriteLayout(const fs::path& directory, const fs::path& layer, const LayoutImage& image) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory / kBlobs));
  std::string hex;
  struct stat info {};
  {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                          sys::OpenRegularFile(layer, O_RDONLY | O_NOFOLLOW));
    if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", layer.native());
    PYRO_ASSIGN_OR_RETURN(hex, Sha256OfFile(fd.get(), layer));
  }
  if (::rename(layer.c_str(), (directory / kBlobs / hex).c_str()) != 0) {
    return sys::ErrnoError(errno, "rename", layer.native());
  }
  Json config = ImageConfigToJson(image.config);
  config["config"] = WithoutEmpty(config["config"]);
  config["created"] = image.created;
  config["rootfs"] = {{"type", "layers"}, {"diff_ids", Json::array({"sha256:" + hex})}};
  config["history"] = HistoryOf(image);
  PYRO_ASSIGN_OR_RETURN(const Json config_blob,
                        AddBlob(directory, kConfigType, ToJsonLine(config)));
  Json manifest = {
      {"schemaVersion", 2},
      {"mediaType", kManifestType},
      {"config", config_blob},
      {"layers",
       Json::array(
           {{{"mediaType", kLayerType}, {"digest", "sha256:" + hex}, {"size", info.st_size}}})}};
  if (!image.annotations.empty()) manifest["annotations"] = image.annotations;
  PYRO_ASSIGN_OR_RETURN(const Json manifest_blob,
                        AddBlob(directory, kManifestType, ToJsonLine(manifest)));
  Descriptor entry;
  entry.digest = manifest_blob["digest"];
  entry.size = manifest_blob["size"];
  PYRO_RETURN_IF_ERROR(
      sys::WriteFileAtomically(directory / "index.json", FormatIndex(entry, kLayoutName), 0644));
  return sys::WriteFileAtomically(directory / "oci-layout", kOciLayoutMark, 0644);
}

Status WriteOciArchive(const fs::path& layout, std::string_view name, int out_fd,
                       const ProgressFn& progress, Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(const std::string index_json,
                        ReadRegularFile(layout / "index.json", kMaxImageJsonBytes));
  PYRO_ASSIGN_OR_RETURN(const ImageDocument index, ParseImageDocument(index_json));
  PYRO_ASSIGN_OR_RETURN(const Descriptor* entry, ChooseEntry(index, kLayoutName));
  const auto path_of = [&](const std::string& digest) {
    return layout / kBlobs / digest.substr(digest.find(':') + 1);
  };
  PYRO_ASSIGN_OR_RETURN(const std::string json, ReadBlob(path_of(entry->digest), entry->digest));
  PYRO_ASSIGN_OR_RETURN(const ImageDocument manifest, ParseImageDocument(json));
  std::map<std::string, std::uint64_t> blobs = {{entry->digest, json.size()},
                                                {manifest.config.digest, manifest.config.size}};
  for (const Descriptor& layer : manifest.layers) blobs.emplace(layer.digest, layer.size);

  archive::Operation operation;
  operation.cancel_fd = cancel.fd;
  archive::Meter meter(operation);
  PYRO_ASSIGN_OR_RETURN(
      const auto tar, archive::TarWriter::Create(out_fd, meter, archive::TarWriter::Counting::kNo));
  ArchiveWriter writer(*tar, progress, cancel);
  for (const auto& [digest, size] : blobs) writer.ExpectBytes(size);
  PYRO_RETURN_IF_ERROR(writer.AddText("oci-layout", kOciLayoutMark));
  PYRO_RETURN_IF_ERROR(writer.AddText("index.json", FormatIndex(*entry, name)));
  PYRO_RETURN_IF_ERROR(writer.AddFolder("blobs"));
  PYRO_RETURN_IF_ERROR(writer.AddFolder(std::string(kBlobs)));
  for (const auto& [digest, size] : blobs) {
    PYRO_RETURN_IF_ERROR(writer.AddFile(
        fmt::format("{}/{}", kBlobs, digest.substr(digest.find(':') + 1)), path_of(digest), size));
  }
  return tar->Finish();
}

}  // namespace pyro::image
