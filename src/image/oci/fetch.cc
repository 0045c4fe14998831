#include "image/oci/fetch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

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

constexpr int kMaxIndexDepth = 4;
constexpr std::string_view kLayoutMark = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::string_view kTemporaryBlob = "oci-put-blob";  // As skopeo calls it.

// In the directory of a copy.
constexpr std::string_view kFromLayout = "source";
constexpr std::string_view kFromArchive = "archive.tar";
constexpr std::string_view kToLayout = "to";

std::string DigestOf(std::string_view bytes) { return fmt::format("sha256:{}", Sha256Hex(bytes)); }

// ":TAG" or "@DIGEST". A digest says more than the tag beside it, which skopeo does not take then.
std::string ReferenceOf(const ImageSource& source) {
  if (!source.digest.empty()) return "@" + source.digest;
  return ":" + (source.tag.empty() ? "latest" : source.tag);
}

Status WriteNew(const fs::path& file, std::string_view bytes) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(file, O_WRONLY | O_CREAT | O_EXCL, 0644));
  return sys::WriteAll(fd.get(), bytes);
}

std::uint64_t SizeOf(const fs::path& file) {
  struct stat info {};
  return ::lstat(file.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

std::uint64_t SizesIn(const fs::path& directory, std::string_view prefix) {
  std::uint64_t sum = 0;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (entry->path().filename().native().starts_with(prefix)) sum += SizeOf(entry->path());
  }
  return sum;
}

class RemovedAtEnd {
 public:
  explicit RemovedAtEnd(fs::path path) : path_(std::move(path)) {}
  ~RemovedAtEnd() { static_cast<void>(sys::RemoveTree(path_)); }  // Or by the next copy.
  RemovedAtEnd(const RemovedAtEnd&) = delete;
  RemovedAtEnd& operator=(const RemovedAtEnd&) = delete;

 private:
  const fs::path path_;
};

// Follows indexes, each read by `read` of its digest, to the manifest for this machine.
template <typename Read>
Result<ImageDocument> FindManifest(std::string json, std::string& digest, const Read& read) {
  for (int depth = 0;; ++depth) {
    PYRO_ASSIGN_OR_RETURN(ImageDocument document, ParseImageDocument(json));
    if (!document.is_index) {
      PYRO_RETURN_IF_ERROR(CheckIsImage(document));
      return document;
    }
    if (depth == kMaxIndexDepth) {
      return MakeError(ErrorCode::kLimit,
                       fmt::format("the image lies below more than {} indexes", kMaxIndexDepth));
    }
    PYRO_ASSIGN_OR_RETURN(const Descriptor* chosen, ChooseImage(document));
    digest = chosen->digest;
    PYRO_ASSIGN_OR_RETURN(json, read(digest));
  }
}

// A layout of hard links, of the image with this manifest alone.
Status LinkLayout(const BlobStore& store, const std::string& json, const ImageDocument& manifest,
                  const fs::path& layout) {
  const fs::path blobs = layout / "blobs";
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(blobs / "sha256"));
  PYRO_RETURN_IF_ERROR(store.Link(manifest.config, blobs));
  for (const Descriptor& layer : manifest.layers) {
    PYRO_RETURN_IF_ERROR(store.Link(layer, blobs));
  }
  Descriptor entry;
  entry.digest = DigestOf(json);
  entry.size = json.size();
  PYRO_RETURN_IF_ERROR(WriteNew(blobs / "sha256" / Sha256Hex(json), json));
  PYRO_RETURN_IF_ERROR(WriteNew(layout / "index.json", FormatIndex(entry, kLayoutName)));
  return WriteNew(layout / "oci-layout", kLayoutMark);
}

// One copy into the blob store: the steps share its directories. The store's lock is held.
class ImageCopy {
 public:
  ImageCopy(const BlobStore& store, const Skopeo& skopeo, const ImageSource& source,
            fs::path directory, const ProgressFn& progress, Cancellation cancel)
      : store_(store),
        skopeo_(skopeo),
        source_(source),
        directory_(std::move(directory)),
        progress_(progress),
        cancel_(cancel) {}

  Status CopyFromRegistry();
  Status CopyFromLayout(const ArchivedImage& image, bool is_archive);
  Status CopyFromDockerArchive(const ArchivedImage& image);

  // After one of these.
  Result<FetchedImage> MakeLayout(const fs::path& layout);

 private:
  Status CopyBlobs(const std::string& from, const ImageDocument& manifest, Skopeo::Watch watch);
  std::uint64_t Arrived();
  void Report(std::uint64_t arrived);

  const BlobStore& store_;
  const Skopeo& skopeo_;
  const ImageSource& source_;
  const fs::path directory_;
  const ProgressFn& progress_;
  const Cancellation cancel_;
  std::string source_digest_;
  bool known_ = false;               // It is known which blobs will arrive:
  std::vector<Descriptor> missing_;  // these,
  std::uint64_t expected_ = 0;       // of so many bytes.
  std::uint64_t stored_before_ = 0;  // Bytes in the store, if they are not known.
  std::uint64_t reported_ = 0;
};

Status ImageCopy::CopyFromRegistry() {
  if (progress_) {
    progress_({"check",
               fmt::format("asking {}", source_.location.substr(0, source_.location.find('/'))),
               std::nullopt});
  }
  const auto read = [&](const std::string& digest) {
    return skopeo_.ReadManifest("@" + digest, cancel_);
  };
  PYRO_ASSIGN_OR_RETURN(std::string json, skopeo_.ReadManifest(ReferenceOf(source_), cancel_));
  source_digest_ = DigestOf(json);
  std::string digest = source_digest_;
  PYRO_ASSIGN_OR_RETURN(const ImageDocument manifest, FindManifest(std::move(json), digest, read));
  // By its digest: a tag that moves meanwhile changes nothing any more.
  return CopyBlobs(fmt::format("docker://{}@{}", source_.location, digest), manifest,
                   Skopeo::Watch::kYes);
}

Status ImageCopy::CopyFromLayout(const ArchivedImage& image, bool is_archive) {
  source_digest_ = image.source_digest;
  const fs::path layout = directory_ / kFromLayout;
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(layout));
  if (is_archive) {
    PYRO_RETURN_IF_ERROR(ExtractBlobs(source_.location, layout, progress_, cancel_));
  } else if (::symlink((fs::path(source_.location) / "blobs").c_str(),
                       (layout / "blobs").c_str()) != 0) {
    return sys::ErrnoError(errno, "link", layout.native());
  }
  const auto read = [&](const std::string& digest) {
    return ReadBlob(layout / "blobs/sha256" / digest.substr(digest.find(':') + 1), digest);
  };
  Descriptor entry = image.entry;
  PYRO_ASSIGN_OR_RETURN(std::string json, read(entry.digest));
  PYRO_ASSIGN_OR_RETURN(const ImageDocument manifest,
                        FindManifest(std::move(json), entry.digest, read));
  if (entry.digest != image.entry.digest) {
    PYRO_ASSIGN_OR_RETURN(const std::string chosen, read(entry.digest));
    entry.size = chosen.size();
    entry.media_type.clear();
  }
  // An index of this one image: that of the source may have several of one name.
  PYRO_RETURN_IF_ERROR(WriteNew(layout / "index.json", FormatIndex(entry, kLayoutName)));
  PYRO_RETURN_IF_ERROR(WriteNew(layout / "oci-layout", kLayoutMark));
  return CopyBlobs(fmt::format("oci:{}:{}", kFromLayout, kLayoutName), manifest,
                   Skopeo::Watch::kNo);
}

Status ImageCopy::CopyFromDockerArchive(const ArchivedImage& image) {
  source_digest_ = image.source_digest;
  const fs::path archive = directory_ / kFromArchive;
  PYRO_ASSIGN_OR_RETURN(const fs::path plain,
                        PlainArchive(source_.location, archive, progress_, cancel_));
  if (plain != archive && ::symlink(plain.c_str(), archive.c_str()) != 0) {
    return sys::ErrnoError(errno, "link", archive.native());
  }
  // Its layers get their digests only when they are compressed, and none is reused.
  stored_before_ = SizesIn(store_.shared_dir() / "sha256", "");
  return CopyBlobs(fmt::format("docker-archive:{}:@{}", kFromArchive, image.place), {},
                   Skopeo::Watch::kNo);
}

Status ImageCopy::CopyBlobs(const std::string& from, const ImageDocument& manifest,
                            Skopeo::Watch watch) {
  if (!manifest.config.digest.empty()) {
    std::vector<Descriptor> blobs = manifest.layers;
    blobs.push_back(manifest.config);
    known_ = true;
    PYRO_ASSIGN_OR_RETURN(missing_, store_.Missing(blobs, progress_, cancel_));
    for (const Descriptor& blob : missing_) expected_ += blob.size;
    PYRO_ASSIGN_OR_RETURN(const std::uint64_t free_bytes, sys::FreeSpace(directory_));
    if (free_bytes < expected_) {
      return MakeError(
          ErrorCode::kNoSpace,
          fmt::format("the image's layers take {} and '{}' has {} left", FormatBytes(expected_),
                      store_.shared_dir().native(), FormatBytes(free_bytes)),
          "free some space (`pyro env prune` removes what is not used), or let PYRO_CACHE_DIR name "
          "a larger disk");
    }
  }
  if (progress_) progress_({"download", "", 0.0});
  // With all bytes there, skopeo waits for the disk, perhaps longer than a registry may be silent.
  // What it compresses again may have as many bytes before its end.
  const bool as_they_are =
      std::all_of(manifest.layers.begin(), manifest.layers.end(),
                  [](const Descriptor& layer) { return layer.media_type.ends_with("gzip"); });
  std::uint64_t waits = 0;
  const auto arrived = [&] {
    const std::uint64_t bytes = Arrived();
    Report(bytes);
    return bytes >= expected_ && known_ && as_they_are ? bytes + ++waits : bytes;
  };
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory_ / kToLayout));
  PYRO_RETURN_IF_ERROR(
      skopeo_.Copy(from, kToLayout, store_.shared_dir(), watch, arrived, progress_, cancel_));
  Report(Arrived());
  return OkStatus();
}

std::uint64_t ImageCopy::Arrived() {
  const std::uint64_t under_way = SizesIn(directory_ / kToLayout, kTemporaryBlob);
  if (!known_) {
    const std::uint64_t stored = SizesIn(store_.shared_dir() / "sha256", "");
    return under_way + (stored > stored_before_ ? stored - stored_before_ : 0);
  }
  std::uint64_t done = 0;
  for (const Descriptor& blob : missing_) done += SizeOf(store_.PathOf(blob.digest));
  return under_way + done;
}

void ImageCopy::Report(std::uint64_t arrived) {
  if (!progress_ || arrived == reported_) return;
  reported_ = arrived;
  if (expected_ == 0) {
    progress_({"download", FormatBytes(arrived), std::nullopt});
    return;
  }
  // Layers of zstd grow on their way.
  const std::uint64_t shown = std::min(arrived, expected_);
  progress_({"download", fmt::format("{} of {}", FormatBytes(shown), FormatBytes(expected_)),
             static_cast<double>(shown) / static_cast<double>(expected_)});
}

Result<FetchedImage> ImageCopy::MakeLayout(const fs::path& layout) {
  PYRO_ASSIGN_OR_RETURN(const std::string index_json,
                        sys::ReadFile(directory_ / kToLayout / "index.json", kMaxImageJsonBytes));
  PYRO_ASSIGN_OR_RETURN(const ImageDocument index, ParseImageDocument(index_json));
  PYRO_ASSIGN_OR_RETURN(const Descriptor* copied, ChooseEntry(index, kLayoutName));
  PYRO_ASSIGN_OR_RETURN(const std::string stored, store_.Read(copied->digest));
  PYRO_ASSIGN_OR_RETURN(const std::string json, WithOciMediaTypes(stored));
  PYRO_ASSIGN_OR_RETURN(const ImageDocument manifest, ParseImageDocument(json));

  FetchedImage image;
  image.layout = layout;
  image.tag = kLayoutName;
  image.source_digest = source_digest_;
  image.manifest_digest = DigestOf(json);
  image.config_digest = manifest.config.digest;
  // For an export of the image.
  if (json != stored) {
    PYRO_RETURN_IF_ERROR(
        sys::WriteFileAtomically(store_.PathOf(image.manifest_digest), json, 0644));
  }
  PYRO_ASSIGN_OR_RETURN(image.config_json, store_.Read(manifest.config.digest));
  std::set<std::string_view> counted;
  for (const Descriptor& layer : manifest.layers) {
    image.layers.push_back(layer.digest);
    if (counted.insert(layer.digest).second) image.bytes += layer.size;
  }
  PYRO_RETURN_IF_ERROR(LinkLayout(store_, json, manifest, layout));
  return image;
}

}  // namespace

ImageFetcher::ImageFetcher(fs::path cache_dir, ToolPaths tools, FetchLimits limits)
    : store_(fs::absolute(cache_dir) / "oci"), tools_(std::move(tools)), limits_(limits) {}

Result<ArchivedImage> ImageFetcher::LookInto(const ImageSource& source, const ProgressFn& progress,
                                             Cancellation cancel) {
  const fs::path file = source.transport == Transport::kOciLayout
                            ? fs::path(source.location) / "index.json"
                            : fs::path(source.location);
  struct stat info {};
  std::string state;
  if (::stat(file.c_str(), &info) == 0) {
    state = fmt::format("{} {} {} {}.{} {}.{}", info.st_dev, info.st_ino, info.st_size,
                        info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                        info.st_ctim.tv_nsec);
  }
  if (look_ && look_->source == source && look_->state == state) return look_->image;
  PYRO_ASSIGN_OR_RETURN(ArchivedImage image, LookIntoArchive(source, progress, cancel));
  look_ = Look{source, std::move(state), image};
  return image;
}

Result<std::string> ImageFetcher::SourceDigest(const ImageSource& source,
                                               const FetchOptions& options, Cancellation cancel) {
  if (source.transport != Transport::kRegistry) {
    PYRO_ASSIGN_OR_RETURN(const ArchivedImage image, LookInto(source, {}, cancel));
    return image.source_digest;
  }
  const Skopeo skopeo(tools_, source, options, limits_, {});
  PYRO_ASSIGN_OR_RETURN(const std::string manifest,
                        skopeo.ReadManifest(ReferenceOf(source), cancel));
  return DigestOf(manifest);
}

Result<std::string> ImageFetcher::OwnName(const ImageSource& source, Cancellation cancel) {
  if (source.transport == Transport::kRegistry) return std::string();
  PYRO_ASSIGN_OR_RETURN(const ArchivedImage image, LookInto(source, {}, cancel));
  return image.own_name;
}

Result<FetchedImage> ImageFetcher::Fetch(const ImageSource& source, const FetchOptions& options,
                                         const fs::path& work_dir, const ProgressFn& progress,
                                         Cancellation cancel) {
  PYRO_RETURN_IF_ERROR(tools_.Find("skopeo"));
  const BlobStore store(store_);
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, store.Enter(progress, cancel));
  PYRO_ASSIGN_OR_RETURN(const fs::path directory, store.MakeCopyDir());
  const RemovedAtEnd removed(directory);
  const Skopeo skopeo(tools_, source, options, limits_, directory);
  ImageCopy copy(store, skopeo, source, directory, progress, cancel);
  if (source.transport == Transport::kRegistry) {
    PYRO_RETURN_IF_ERROR(copy.CopyFromRegistry());
  } else {
    PYRO_ASSIGN_OR_RETURN(const ArchivedImage image, LookInto(source, progress, cancel));
    if (source.transport == Transport::kDockerArchive) {
      PYRO_RETURN_IF_ERROR(copy.CopyFromDockerArchive(image));
    } else {
      PYRO_RETURN_IF_ERROR(copy.CopyFromLayout(image, source.transport == Transport::kOciArchive));
    }
  }
  return copy.MakeLayout(work_dir / "layout");
}

Result<std::optional<fs::path>> ImageFetcher::KeptLayout(const std::string& manifest_digest,
                                                         const fs::path& work_dir,
                                                         const ProgressFn& progress,
                                                         Cancellation cancel) {
  const BlobStore store(store_);
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, store.Enter(progress, cancel));
  const auto json = store.Read(manifest_digest);
  if (!json) return std::optional<fs::path>();
  PYRO_ASSIGN_OR_RETURN(const ImageDocument manifest, ParseImageDocument(*json));
  PYRO_RETURN_IF_ERROR(CheckIsImage(manifest));
  std::vector<Descriptor> blobs = manifest.layers;
  blobs.push_back(manifest.config);
  PYRO_ASSIGN_OR_RETURN(const auto missing, store.Missing(blobs, progress, cancel));
  if (!missing.empty()) return std::optional<fs::path>();
  const fs::path layout = work_dir / "layout";
  PYRO_RETURN_IF_ERROR(LinkLayout(store, *json, manifest, layout));
  return std::optional<fs::path>(layout);
}

Result<std::uint64_t> ImageFetcher::PruneBlobs(const std::set<std::string>& kept_digests,
                                               DryPrune* dry) {
  return BlobStore(store_).Prune(kept_digests, dry);
}

}  // namespace pyro::image
