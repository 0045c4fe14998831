#include "image/oci/layer_files.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "archive/formats.h"
#include "archive/meter.h"
#include "base/try.h"
#include "image/store/digest.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 512;

// Of the attributes' names in a tar, as umoci reads them.
constexpr std::array<std::string_view, 2> kOverlayNames = {"xattr.user.overlay.",
                                                           "xattr.trusted.overlay."};

// Bytes that were read already, and then the rest of the source.
class Rejoined : public archive::Source {
 public:
  explicit Rejoined(archive::Source& rest) : rest_(rest) {}

  Result<std::string_view> Begin() {
    while (beginning_.size() < archive::kBeginningBytes) {
      PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, rest_.Next());
      if (bytes.empty()) break;
      beginning_ += bytes;
    }
    return std::string_view(beginning_);
  }

  Result<std::string_view> Next() override {
    if (!std::exchange(begun_, true) && !beginning_.empty()) return std::string_view(beginning_);
    return rest_.Next();
  }

 private:
  std::string beginning_;
  archive::Source& rest_;
  bool begun_ = false;
};

// A blob with all that reading it needs.
class OpenedLayer : public archive::Source {
 public:
  OpenedLayer(sys::UniqueFd fd, Cancellation cancel)
      : fd_(std::move(fd)),
        operation_{.cancel_fd = cancel.fd},
        meter_(operation_),
        file_(fd_.get(), meter_),
        whole_(file_) {}

  Status Begin() {
    PYRO_ASSIGN_OR_RETURN(const std::string_view beginning, whole_.Begin());
    const archive::Compression compression = archive::CompressionOf(beginning);
    if (compression == archive::Compression::kNone) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(plain_, archive::Decompress(whole_, compression));
    return OkStatus();
  }

  Result<std::string_view> Next() override { return plain_ ? plain_->Next() : whole_.Next(); }

 private:
  const sys::UniqueFd fd_;
  const archive::Operation operation_;
  archive::Meter meter_;
  archive::FdSource file_;
  Rejoined whole_;
  std::unique_ptr<archive::Source> plain_;  // Of a blob that is compressed.
};

// Writes and hashes what passes, and looks for the names of attributes. A file with such a name in
// its content is taken for one, too: that costs a disk of its own, no more.
class Copied : public archive::Source {
 public:
  Copied(archive::Source& source, int fd) : source_(source), fd_(fd) {}

  Result<std::string_view> Next() override {
    PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, source_.Next());
    PYRO_RETURN_IF_ERROR(sys::WriteAll(fd_, bytes));
    written_ += bytes.size();
    hash_.Update(bytes.data(), bytes.size());
    Look(bytes);
    return bytes;
  }

  std::uint64_t written() const { return written_; }
  std::string FinishHex() { return hash_.FinishHex(); }
  bool overlay_names() const { return overlay_names_; }

 private:
  static bool Holds(std::string_view bytes, std::string_view name) {
    return !bytes.empty() &&  // The end of a stream is a view of nothing.
           ::memmem(bytes.data(), bytes.size(), name.data(), name.size()) != nullptr;
  }

  void Look(std::string_view bytes) {
    constexpr std::size_t kKept = kOverlayNames[1].size() - 1;
    tail_ += bytes.substr(0, kKept);
    for (const std::string_view name : kOverlayNames) {
      overlay_names_ = overlay_names_ || Holds(tail_, name) || Holds(bytes, name);
    }
    if (bytes.size() >= kKept) tail_ = bytes.substr(bytes.size() - kKept);
    if (tail_.size() > kKept) tail_.erase(0, tail_.size() - kKept);
  }

  archive::Source& source_;
  const int fd_;
  Sha256 hash_;
  std::uint64_t written_ = 0;
  bool overlay_names_ = false;
  std::string tail_;  // The last bytes of what has passed.
};

// Returns whether there were global headers.
Result<bool> ReadEntries(archive::Source& source, archive::Meter& meter, const EntryFn& on_entry) {
  const archive::ByteNames names;
  PYRO_ASSIGN_OR_RETURN(const auto reader,
                        archive::TarReader::Create(source, meter, ErrorCode::kDataLoss));
  reader->KeepAttributes();
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const auto entry, reader->Next());
    if (!entry) return reader->has_globals();
    PYRO_RETURN_IF_ERROR(meter.CountEntry());
    on_entry(*entry);
  }
}

// ustar with the records of POSIX's pax, which hold what ustar has no room for.
class MarkWriter {
 public:
  explicit MarkWriter(int fd) : fd_(fd) {}

  void Directory(const std::string& path, const archive::Entry& entry, bool opaque, bool holder) {
    std::string records = Common(path, entry);
    if (opaque) records += Record("SCHILY.xattr.user.overlay.opaque", "y");
    // Tells overlayfs that a directory which lies on no other may have whiteouts all the same.
    if (holder) records += Record("SCHILY.xattr.user.overlay.origin", "y");
    Write('5', entry.mode, records);
  }

  void Whiteout(const std::string& path) { Write('3', 0, Common(path, {})); }

  Status Finish() {
    out_.append(2 * kBlock, '\0');
    return sys::WriteAll(fd_, out_);
  }

 private:
  // "LENGTH KEY=VALUE\n"; the length counts its own digits.
  static std::string Record(std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t length = rest + 1;
    while (length != rest + std::to_string(length).size()) ++length;
    return fmt::format("{} {}={}\n", length, key, value);
  }

  static std::string Common(const std::string& path, const archive::Entry& entry) {
    // A time before 1970 with a fraction counts down from the second above.
    const bool down = entry.seconds < 0 && entry.nanoseconds > 0;
    const std::int64_t seconds = down ? entry.seconds + 1 : entry.seconds;
    const long fraction = down ? 1'000'000'000 - entry.nanoseconds : entry.nanoseconds;
    return Record("path", path) + Record("uid", std::to_string(entry.uid)) +
           Record("gid", std::to_string(entry.gid)) +
           Record("mtime",
                  fmt::format("{}{}.{:09}", down && seconds == 0 ? "-" : "", seconds, fraction));
  }

  void Header(char type, std::string_view name, unsigned mode, std::size_t size) {
    std::string block(kBlock, '\0');
    const auto put = [&block](std::size_t at, std::string_view text) {
      block.replace(at, text.size(), text);
    };
    put(0, name);
    put(100, fmt::format("{:07o}", mode));
    for (const std::size_t at : {108, 116, 329, 337}) put(at, "0000000");
    put(124, fmt::format("{:011o}", size));
    put(136, "00000000000");
    block[156] = type;
    put(257, std::string_view("ustar\00000", 8));
    put(148, "        ");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    put(148, fmt::format("{:06o}", sum));
    block[154] = '\0';
    out_ += block;
  }

  void Write(char type, unsigned mode, const std::string& records) {
    Header('x', "pax", 0644, records.size());
    out_ += records;
    out_.append((kBlock - records.size() % kBlock) % kBlock, '\0');
    Header(type, "mark", mode, 0);
  }

  const int fd_;
  std::string out_;
};

}  // namespace

Result<std::unique_ptr<archive::Source>> OpenLayer(const fs::path& blob, Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd fd, sys::OpenRegularFile(blob, O_RDONLY));
  auto layer = std::make_unique<OpenedLayer>(std::move(fd), cancel);
  PYRO_RETURN_IF_ERROR(layer->Begin());
  return std::unique_ptr<archive::Source>(std::move(layer));
}

fs::path LayerBlob(const FetchedImage& image, std::size_t number) {
  const std::string& digest = image.layers[number];
  return image.layout / "blobs/sha256" / digest.substr(digest.find(':') + 1);
}

Result<PlainTar> DecompressLayer(const fs::path& blob, const fs::path& plain,
                                 const EntryFn& on_entry, Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(const auto decompressed, OpenLayer(blob, cancel));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd to,
                        sys::OpenFile(plain, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  const archive::Operation operation{.cancel_fd = cancel.fd};
  archive::Meter meter(operation);
  Copied copied(*decompressed, to.get());
  PlainTar made;
  if (on_entry) {
    PYRO_ASSIGN_OR_RETURN(made.has_globals, ReadEntries(copied, meter, on_entry));
  } else {
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, copied.Next());
      if (bytes.empty()) break;
      if (Cancelled(cancel)) return MakeError(ErrorCode::kCancelled, "the pull was stopped");
    }
  }
  if (copied.overlay_names()) {
    return MakeError(ErrorCode::kDataLoss, "a layer has attributes of an overlay");
  }
  made.bytes = copied.written();
  made.sha256 = copied.FinishHex();
  return made;
}

Status WriteMarks(const fs::path& file, const LayerMarks& marks,
                  const std::vector<fs::path>& plain_layers, Cancellation cancel) {
  // As the highest layer has it.
  std::map<std::string, archive::Entry> directories;
  const archive::Operation operation{.cancel_fd = cancel.fd};
  for (const fs::path& layer : plain_layers) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd from, sys::OpenRegularFile(layer, O_RDONLY));
    archive::Meter meter(operation);
    archive::FdSource source(from.get(), meter);
    archive::Meter tar_meter(operation);
    PYRO_RETURN_IF_ERROR(ReadEntries(source, tar_meter, [&](const archive::Entry& entry) {
      if (entry.type != archive::Entry::Type::kDirectory) return;
      const auto path = LayerPath(entry.name);
      if (path && (marks.opaque.contains(*path) || marks.holders.contains(*path))) {
        directories[*path] = entry;
      }
    }));
  }
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd to,
                        sys::OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  MarkWriter writer(to.get());
  for (const auto& [path, entry] : directories) {
    writer.Directory(path, entry, marks.opaque.contains(path), marks.holders.contains(path));
  }
  for (const std::string& path : marks.whiteouts) writer.Whiteout(path);
  return writer.Finish();
}

}  // namespace pyro::image
