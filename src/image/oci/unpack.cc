#include "image/oci/unpack.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/seal.h"
#include "image/store/build_log.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRootName = "rootfs";
constexpr std::size_t kMaxDevices = 100;     // Named one by one.
constexpr std::size_t kMaxAttributes = 100;  // Kinds of them.
constexpr std::size_t kNameBytes = 200;
constexpr std::string_view kLostDevice = "the device node ";
constexpr std::string_view kLayerLine = "unpack layer: sha256:";

// What umoci reports that it did not make as the image has it.
class LeftOut {
 public:
  void OnLine(std::string_view line) {
    constexpr std::string_view kDevice = "} creating empty file in place of device ";
    if (const auto at = line.find(kDevice); at != std::string_view::npos) {
      return AddDevice(NameIn(line.substr(0, at)), line.substr(at + kDevice.size()));
    }
    for (const std::string_view ignored :
         {"} ignoring (usually) harmless EPERM on setxattr \"", "} ignoring forbidden xattr: \"",
          "} ignoring ENOTSUP on setxattr \""}) {
      const auto at = line.find(ignored);
      if (at == std::string_view::npos) continue;
      const auto name = line.substr(at + ignored.size());
      AddAttribute(NameIn(line.substr(0, at)), name.substr(0, name.rfind('"')));
    }
  }

  std::vector<std::string> Lines() const {
    std::vector<std::string> lines = devices_;
    if (more_devices_ > 0) lines.push_back(fmt::format("{} more device nodes", more_devices_));
    for (const auto& [name, held] : attributes_) {
      lines.push_back(
          fmt::format("the attribute {} of /{}{}", name, held.first,
                      held.others == 0 ? std::string() : fmt::format(" and {} more", held.others)));
    }
    return lines;
  }

 private:
  struct Holders {
    std::string first;
    std::size_t others = 0;
  };

  // Of "   • rootless{NAME"; a name with a newline begins on an earlier line.
  static std::string NameIn(std::string_view text) {
    const auto brace = text.find('{');
    return Printable(brace == std::string_view::npos ? text : text.substr(brace + 1), kNameBytes);
  }

  void AddDevice(const std::string& name, std::string_view number) {
    if (name.starts_with("dev/")) return;  // The guest's kernel has its own there.
    if (devices_.size() == kMaxDevices) {
      ++more_devices_;
      return;
    }
    devices_.push_back(
        fmt::format("{}/{} ({}): it is an empty file", kLostDevice, name, Printable(number, 20)));
  }

  void AddAttribute(const std::string& name, std::string_view attribute) {
    const std::string key = Printable(attribute, kNameBytes);
    const auto held = attributes_.find(key);
    if (held != attributes_.end()) {
      ++held->second.others;
    } else if (attributes_.size() < kMaxAttributes) {
      attributes_[key].first = name;
    }
  }

  std::vector<std::string> devices_;
  std::size_t more_devices_ = 0;
  std::map<std::string, Holders> attributes_;
};

// How far the layers are, by their compressed bytes.
class LayerProgress {
 public:
  LayerProgress(const FetchedImage& image, const ProgressFn& progress) : progress_(progress) {
    for (const std::string& layer : image.layers) {
      const auto digits = layer.find(':') + 1;
      std::error_code error;
      const auto size = fs::file_size(image.layout / "blobs/sha256" / layer.substr(digits), error);
      sizes_.push_back(error ? 0 : size);
      all_ += sizes_.back();
    }
  }

  void OnLine(std::string_view line) {
    if (line.find(kLayerLine) == std::string_view::npos || begun_ == sizes_.size()) return;
    if (begun_ > 0) done_ += sizes_[begun_ - 1];
    ++begun_;
    if (!progress_) return;
    std::optional<double> fraction;
    if (all_ > 0) fraction = static_cast<double>(done_) / static_cast<double>(all_);
    progress_({"extract", fmt::format("layer {} of {}", begun_, sizes_.size()), fraction});
  }

  // Of the layer at work, from 1; 0: none yet.
  std::size_t begun() const { return begun_; }

 private:
  const ProgressFn& progress_;
  std::vector<std::uintmax_t> sizes_;
  std::uintmax_t all_ = 0;
  std::uintmax_t done_ = 0;
  std::size_t begun_ = 0;
};

// Why umoci failed, in its own words.
class FailureWords {
 public:
  void OnLine(std::string_view line) {
    constexpr std::string_view kReason = "create rootfs: ";
    if (const auto at = line.find(kReason); at != std::string_view::npos) {
      line.remove_prefix(at + kReason.size());
      for (const std::string_view step : {"unpack layer: ", "unpack entry: "}) {
        if (line.starts_with(step)) line.remove_prefix(step.size());
      }
      reason_ = Printable(line, 400);
    } else if (crash_.empty() && (line.starts_with("panic: ") || line.starts_with("fatal error"))) {
      crash_ = Printable(line, 400);
    }
  }

  const std::string& reason() const { return reason_; }  // Of the image, or of its file system.
  const std::string& crash() const { return crash_; }  // The first line of Go's, before its stack.

 private:
  std::string reason_;
  std::string crash_;
};

Error ExplainUnpack(const FailureWords& words, std::string_view tail, std::size_t layer) {
  const std::string& reason = words.reason();
  if (reason.empty() && !words.crash().empty()) return ExplainFailure("umoci", words.crash());
  const auto has = [&reason](std::string_view text) {
    return reason.find(text) != std::string::npos;
  };
  if (reason.empty() || has("no space left on device") || has("disk quota exceeded")) {
    return ExplainFailure("umoci", tail);
  }
  if (has("chown") && has("invalid argument")) {
    return MakeError(ErrorCode::kPermissionDenied,
                     fmt::format("the image has files of users or groups that this user may not "
                                 "give to a file: {}",
                                 reason),
                     "pull as root, or let this user's first line in /etc/subuid and /etc/subgid "
                     "give more ids");
  }
  if (has("operation not permitted") || has("permission denied")) {
    return MakeError(
        ErrorCode::kPermissionDenied,
        fmt::format("the system does not let '{}' unpack the image: {}", "umoci", reason),
        "pull as root of this host, outside of a container");
  }
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("layer {} of the image cannot be unpacked: {}", layer, reason),
                   "ask those who made the image for another one");
}

// Returns what the image has lost. A failure after a crash says nothing: `words` has the crash.
Result<SealedImage> UnpackLayers(const RootNamespace& root, const FetchedImage& image,
                                 const fs::path& work_dir, const std::vector<std::string>& more_env,
                                 FailureWords& words, const ProgressFn& progress,
                                 Cancellation cancel) {
  LeftOut left_out;
  LayerProgress layers(image, progress);
  // A relative path, because umoci takes a colon in it for the beginning of the tag.
  const std::string reference =
      fmt::format("{}:{}", image.layout.lexically_relative(work_dir).native(), image.tag);
  // Without --rootless, which would give every file to root.
  PYRO_ASSIGN_OR_RETURN(
      const ToolRun run,
      root.Run({"umoci", "--log=info", "raw", "unpack", "--image", reference, kRootName}, work_dir,
               more_env, cancel, [&](std::string_view line) {
                 layers.OnLine(line);
                 left_out.OnLine(line);
                 words.OnLine(line);
               }));
  if (!run.status.success()) return ExplainUnpack(words, run.tail, layers.begun());
  return SealedImage{left_out.Lines()};
}

}  // namespace

bool LacksDevices(const std::vector<std::string>& left_out) {
  return std::any_of(left_out.begin(), left_out.end(),
                     [](const std::string& line) { return line.starts_with(kLostDevice); });
}

Result<SealedImage> UnpackAndSeal(const ToolPaths& tools, const RootNamespace& root,
                                  const FetchedImage& image, const fs::path& work_dir,
                                  const fs::path& base_erofs, const TreeFn& before_seal,
                                  const ProgressFn& progress, Cancellation cancel) {
  for (const char* tool : {"umoci", "mkfs.erofs"}) PYRO_RETURN_IF_ERROR(tools.Find(tool));
  if (progress) progress({"extract", "", std::nullopt});
  const fs::path tree = work_dir / kRootName;
  FailureWords words;
  auto sealed = UnpackLayers(root, image, work_dir, {}, words, progress, cancel);
  if (!sealed && words.reason().empty() && !words.crash().empty()) {
    // umoci 0.4.7 may panic when it meets an error in the middle of a layer, and then does not say
    // which: its threads race. With one thread it does.
    PYRO_RETURN_IF_ERROR(root.RemoveTree(tree));
    words = {};
    sealed = UnpackLayers(root, image, work_dir, {"GOMAXPROCS=1"}, words, progress, cancel);
  }
  if (!sealed) return sealed;
  if (before_seal) PYRO_RETURN_IF_ERROR(before_seal(tree));
  PYRO_RETURN_IF_ERROR(SealTree(root, tree, base_erofs, {}, work_dir, progress, cancel));
  PYRO_RETURN_IF_ERROR(root.RemoveTree(tree));
  return sealed;
}

}  // namespace pyro::image
