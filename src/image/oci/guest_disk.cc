#include "image/oci/guest_disk.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/image_layer.h"
#include "base/text.h"
#include "base/try.h"
#include "image/oci/layer_files.h"
#include "image/store/blank.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDiskName = "base.ext4";
constexpr std::uint64_t kWholeMiB = 1 << 20;
// The journal, and what the guest has beside the tree.
constexpr std::uint64_t kOwnBytes = 32 * kWholeMiB;
constexpr std::uint64_t kInodeBytes = 256;
// Directories on the way that no layer states, and what the guest has.
constexpr std::uint64_t kOwnInodes = 4096;

Error InLayer(Error error, std::size_t number) {
  if (error.code != ErrorCode::kDataLoss && error.code != ErrorCode::kInvalidArgument) return error;
  return MakeError(
      ErrorCode::kDataLoss,
      fmt::format("layer {} of the image cannot be unpacked: {}", number, error.message),
      "ask those who made the image for another one");
}

class GuestDiskMaker {
 public:
  GuestDiskMaker(const FetchedImage& image, const ProgressFn& progress, Cancellation cancel)
      : image_(image), progress_(progress), cancel_(cancel) {}

  // How large the disk must be is known only now.
  Status Measure() {
    for (std::size_t i = 0; i < image_.layers.size(); ++i) {
      PYRO_ASSIGN_OR_RETURN(const archive::ImageLayer layer, Copy(i, -1));
      content_ += layer.content_bytes;
      entries_ += layer.entries;
      sizes_.push_back(layer.bytes);
      all_ += layer.bytes;
      for (const std::string& line : layer.left_out) {
        if (left_out_.size() < kMaxLeftOutLines) left_out_.push_back(line);
      }
      if (content_ > kMaxBlankBytes) {
        return MakeError(ErrorCode::kLimit,
                         fmt::format("the image is larger than {}", FormatBytes(kMaxBlankBytes)));
      }
    }
    return OkStatus();
  }

  Status MakeBlank(const fs::path& blank, const ToolPaths& tools) const {
    const std::uint64_t bytes = content_ + content_ / 16 + inodes() * kInodeBytes + kOwnBytes;
    return MakeImageDisk(blank, (bytes + kWholeMiB - 1) / kWholeMiB * kWholeMiB, inodes(), tools);
  }

  GuestBuild Describe() {
    GuestBuild build;
    build.bytes = content_ + kOwnBytes;
    for (std::size_t i = 0; i < image_.layers.size(); ++i) {
      build.layers.push_back([this, i](int out_fd) -> Status {
        auto copied = Copy(i, out_fd);
        return copied ? OkStatus() : Status(std::move(copied).error());
      });
    }
    return build;
  }

  std::vector<std::string> TakeLeftOut() { return std::move(left_out_); }

 private:
  std::uint64_t inodes() const { return entries_ + entries_ / 4 + kOwnInodes; }

  Result<archive::ImageLayer> Copy(std::size_t i, int out_fd) const {
    archive::Operation operation;
    operation.cancel_fd = cancel_.fd;
    std::uint64_t before = 0;
    for (std::size_t lower = 0; out_fd >= 0 && lower < i; ++lower) before += sizes_[lower];
    operation.on_progress = [&](const archive::Progress& news) {
      if (!progress_) return;
      std::optional<double> fraction;
      if (out_fd >= 0 && all_ > 0) {
        fraction = static_cast<double>(before + news.bytes) / static_cast<double>(all_);
      }
      progress_({out_fd >= 0 ? "extract" : "check",
                 fmt::format("layer {} of {}", i + 1, image_.layers.size()), fraction});
    };
    const auto copy = [&]() -> Result<archive::ImageLayer> {
      PYRO_ASSIGN_OR_RETURN(const auto plain, OpenLayer(LayerBlob(image_, i), cancel_));
      return archive::CopyImageLayer(*plain, out_fd, operation);
    };
    auto copied = copy();
    return copied ? std::move(copied) : InLayer(std::move(copied).error(), i + 1);
  }

  const FetchedImage& image_;
  const ProgressFn& progress_;
  const Cancellation cancel_;
  std::vector<std::uint64_t> sizes_;  // Of the layers' tars.
  std::uint64_t all_ = 0;             // Of them together.
  std::uint64_t content_ = 0;
  std::uint64_t entries_ = 0;
  std::vector<std::string> left_out_;
};

}  // namespace

Result<ImageDisks> MakeDiskInGuest(const ToolPaths& tools, BuilderGuest& guest,
                                   const GuestEnvironment& environment, const FetchedImage& image,
                                   const fs::path& work_dir, const fs::path& version_dir,
                                   const ProgressFn& progress, Cancellation cancel) {
  PYRO_RETURN_IF_ERROR(tools.Find("mke2fs"));
  GuestDiskMaker maker(image, progress, cancel);
  PYRO_RETURN_IF_ERROR(maker.Measure());
  const fs::path blank = work_dir / "blank.img";
  PYRO_RETURN_IF_ERROR(maker.MakeBlank(blank, tools));
  GuestBuild build = maker.Describe();
  build.environment = environment;
  build.blank = blank;
  build.disk = version_dir / kDiskName;
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> lost, guest.Build(build, progress, cancel));
  ImageDisks disks;
  disks.base.name = kDiskName;
  disks.left_out = maker.TakeLeftOut();
  disks.left_out.insert(disks.left_out.end(), lost.begin(), lost.end());
  return disks;
}

}  // namespace pyro::image
