#include "archive/image_layer.h"

#include <climits>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "archive/meter.h"
#include "archive/names.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::archive {
namespace {

constexpr std::string_view kOfOverlay = "trusted.overlay.";
constexpr std::size_t kMostLeftOut = 100;
constexpr std::size_t kToldName = 200;
constexpr std::uint64_t kDiskBlock = 4096;  // Of the disk that it goes to.
constexpr std::uint64_t kBesideName = 16;   // What a directory has for a name, beside the name.

std::uint64_t InBlocks(std::uint64_t bytes) {
  return (bytes + kDiskBlock - 1) / kDiskBlock * kDiskBlock;
}

class ImageLayerCopier {
 public:
  ImageLayerCopier(TarReader& from, TarWriter* to, Meter& meter)
      : from_(from), to_(to), meter_(meter) {}

  Status Run() {
    while (true) {
      PYRO_ASSIGN_OR_RETURN(auto entry, from_.Next());
      if (!entry) return to_ == nullptr ? OkStatus() : to_->Finish();
      PYRO_RETURN_IF_ERROR(meter_.CountEntry());
      PYRO_RETURN_IF_ERROR(Check(*entry));
      if (IsOverlaysOwn(*entry)) continue;
      Count(*entry);
      if (to_ != nullptr) PYRO_RETURN_IF_ERROR(Copy(*entry));
    }
  }

  ImageLayer Finish() {
    if (more_ > 0) layer_.left_out.push_back(fmt::format("{} more", more_));
    return std::move(layer_);
  }

 private:
  // As umoci does it: ".." of the root is the root.
  Result<std::string> NameInImage(std::string_view name) const {
    std::string clean;
    for (const std::string_view part : Split(name, '/')) {
      if (part.empty() || part == ".") continue;
      if (part == "..") {
        const std::size_t slash = clean.rfind('/');
        clean.resize(slash == clean.npos ? 0 : slash);
        continue;
      }
      if (part.size() > NAME_MAX) return TooLong(name);
      if (!clean.empty()) clean += '/';
      clean += part;
    }
    if (clean.size() > kMaxNameBytes) return TooLong(name);
    return clean;
  }

  Error TooLong(std::string_view name) const {
    return from_.Bad(fmt::format("entry '{}' has too long a name", Printable(name, kToldName)));
  }

  Status Check(Entry& entry) const {
    PYRO_ASSIGN_OR_RETURN(entry.name, NameInImage(entry.name));
    const auto refuse = [&](std::string_view why) {
      return from_.Bad(fmt::format("entry '{}' {}", Printable(entry.name, kToldName), why));
    };
    if (entry.name.empty() && entry.type != Entry::Type::kDirectory) return refuse("has no name");
    if (entry.type == Entry::Type::kSymlink &&
        (entry.target.empty() || entry.target.size() > kMaxNameBytes)) {
      return refuse("is a symbolic link without a usable target");
    }
    if (entry.type == Entry::Type::kHardLink) {
      PYRO_ASSIGN_OR_RETURN(entry.target, NameInImage(entry.target));
      if (entry.target.empty()) return refuse("is a hard link to the root");
    }
    return OkStatus();
  }

  // Says so. Takes such attributes away.
  bool IsOverlaysOwn(Entry& entry) {
    std::erase_if(entry.attributes, [&](const auto& attribute) {
      if (!attribute.first.starts_with(kOfOverlay)) return false;
      Tell(fmt::format("the attribute {} of /{}", Printable(attribute.first, kToldName),
                       Printable(entry.name, kToldName)));
      return true;
    });
    const bool whiteout = entry.type == Entry::Type::kDevice && !entry.block &&
                          entry.device_major == 0 && entry.device_minor == 0;
    if (whiteout) {
      Tell(fmt::format("the device node /{} (0:0)", Printable(entry.name, kToldName)));
    }
    return whiteout;
  }

  void Tell(std::string line) {
    if (layer_.left_out.size() == kMostLeftOut) {
      ++more_;
    } else {
      layer_.left_out.push_back(std::move(line));
    }
  }

  void Count(const Entry& entry) {
    ++layer_.entries;
    std::uint64_t bytes = 0;
    if (entry.type == Entry::Type::kRegular && entry.data) {
      for (const auto& range : *entry.data) {
        // It may begin and end within a block.
        bytes += InBlocks(static_cast<std::uint64_t>(range.length)) + kDiskBlock;
      }
    } else if (entry.type == Entry::Type::kRegular) {
      bytes = InBlocks(static_cast<std::uint64_t>(entry.size));
    } else if (entry.type != Entry::Type::kHardLink) {
      bytes = kDiskBlock;
    }
    // A directory that has been cut in two is half full.
    layer_.content_bytes += bytes + 2 * (entry.name.size() + kBesideName);
    for (const auto& [name, value] : entry.attributes) {
      layer_.content_bytes += InBlocks(name.size() + value.size());
    }
  }

  Status Copy(Entry& entry) {
    if (entry.name.empty()) entry.name.assign(1, '.');
    PYRO_RETURN_IF_ERROR(to_->Add(entry));
    if (entry.type != Entry::Type::kRegular) return OkStatus();
    std::int64_t position = 0;
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto piece, from_.Read());
      if (!piece) return to_->WriteZeros(entry.size - position);
      PYRO_RETURN_IF_ERROR(to_->WriteZeros(piece->offset - position));
      PYRO_RETURN_IF_ERROR(to_->Write(piece->bytes));
      position = piece->offset + static_cast<std::int64_t>(piece->bytes.size());
    }
  }

  TarReader& from_;
  TarWriter* const to_;
  Meter& meter_;
  ImageLayer layer_;
  std::size_t more_ = 0;
};

}  // namespace

Result<ImageLayer> CopyImageLayer(Source& plain, int out_fd, const Operation& operation) {
  const ByteNames byte_names;
  Meter meter(operation);
  PYRO_ASSIGN_OR_RETURN(const auto reader, TarReader::Create(plain, meter, ErrorCode::kDataLoss));
  reader->KeepAttributes();
  std::unique_ptr<TarWriter> writer;
  if (out_fd >= 0) {
    PYRO_ASSIGN_OR_RETURN(writer, TarWriter::Create(out_fd, meter, TarWriter::Counting::kNo));
  }
  ImageLayerCopier copier(*reader, writer.get(), meter);
  PYRO_RETURN_IF_ERROR(copier.Run());
  meter.Finish();
  ImageLayer layer = copier.Finish();
  layer.bytes = meter.summary().bytes;
  return layer;
}

}  // namespace pyro::archive
