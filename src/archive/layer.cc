#include "archive/layer.h"

#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "archive/meter.h"
#include "archive/names.h"
#include "archive/tar.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::archive {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::size_t kMaxLines = 100;
constexpr std::size_t kLineName = 200;

// Whether one of its parts stands for a removal in a layer.
bool HasWhiteout(std::string_view name) {
  return name.starts_with(kWhiteout) || name.find("/.wh.") != name.npos;
}

std::int64_t HoleBytes(const Entry& entry) {
  if (!entry.data) return 0;
  std::int64_t holes = entry.size;
  for (const sys::FileRange& range : *entry.data) holes -= range.length;
  return holes;
}

class LayerCopier {
 public:
  LayerCopier(TarReader& from, TarWriter& to, const LayerRules& rules, Meter& meter)
      : from_(from), to_(to), rules_(rules), meter_(meter) {}

  Status Run() {
    while (true) {
      PYRO_ASSIGN_OR_RETURN(auto entry, from_.Next());
      if (!entry) return to_.Finish();
      PYRO_RETURN_IF_ERROR(meter_.CountEntry());
      PYRO_RETURN_IF_ERROR(Check(*entry));
      if (IsBelowEmptied(entry->name)) continue;
      if (IsLeftOut(*entry)) {
        PYRO_RETURN_IF_ERROR(gone_.Add(entry->name));
        continue;
      }
      Stamp(*entry);
      PYRO_RETURN_IF_ERROR(Copy(*entry));
    }
  }

  std::vector<std::string> Lines() {
    if (more_ > 0) left_out_.push_back(fmt::format("{} more", more_));
    return std::move(left_out_);
  }

 private:
  // Cleans the names of the entry.
  Status Check(Entry& entry) {
    PYRO_ASSIGN_OR_RETURN(entry.name, CleanName(entry.name, from_.bad()));
    const auto refuse = [&](std::string_view why) {
      return from_.Bad(fmt::format("entry '{}' {}", Printable(entry.name), why));
    };
    if (entry.name.empty() && entry.type != Entry::Type::kDirectory) return refuse("has no name");
    if (links_.IsBelowLink(entry.name)) return refuse("lies below a symbolic link of the archive");
    if (entry.type == Entry::Type::kSymlink) {
      if (entry.target.empty() || entry.target.size() > kMaxNameBytes) {
        return refuse("is a symbolic link without a usable target");
      }
      return links_.Add(entry.name);
    }
    // Unpacked, it would take the link's place, or its content would go where that leads.
    if (links_.Contains(entry.name)) return refuse("has the name of a symbolic link");
    if (entry.type == Entry::Type::kHardLink) {
      PYRO_ASSIGN_OR_RETURN(entry.target, CleanName(entry.target, from_.bad()));
      if (entry.target.empty() || entry.target == entry.name || links_.IsBelowLink(entry.target)) {
        return refuse("is a hard link to a target outside the archive");
      }
      if (links_.Contains(entry.target)) return links_.Add(entry.name);
    }
    return OkStatus();
  }

  bool IsBelowEmptied(std::string_view name) const {
    for (auto slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
      if (rules_.emptied.contains(std::string(name.substr(0, slash)))) return true;
    }
    return false;
  }

  // Says so.
  bool IsLeftOut(const Entry& entry) {
    const std::string name = Printable(entry.name, kLineName);
    if (entry.type == Entry::Type::kDevice) {
      Tell(fmt::format("the device node or socket /{}", name));
      return true;
    }
    if (HasWhiteout(entry.name)) {
      Tell(fmt::format("/{}: in an image such a name means a removal", name));
      return true;
    }
    if (entry.type == Entry::Type::kHardLink &&
        (gone_.Contains(entry.target) || IsBelowEmptied(entry.target))) {
      Tell(fmt::format("/{}: it is a hard link to a file that is left out", name));
      return true;
    }
    return false;
  }

  void Tell(std::string line) {
    if (left_out_.size() == kMaxLines) {
      ++more_;
    } else {
      left_out_.push_back(std::move(line));
    }
  }

  void Stamp(Entry& entry) const {
    const bool emptied =
        entry.type == Entry::Type::kDirectory && rules_.emptied.contains(entry.name);
    if (!emptied && !rules_.stamped.contains(entry.name)) return;
    entry.seconds = rules_.stamp;
    entry.nanoseconds = 0;
  }

  Status Copy(Entry& entry) {
    const auto edit = rules_.edits.find(entry.name);
    const bool edited = edit != rules_.edits.end() && entry.type == Entry::Type::kRegular &&
                        static_cast<std::uint64_t>(entry.size) <= kMaxEditedBytes;
    std::optional<std::string> content;
    if (edited) {
      PYRO_ASSIGN_OR_RETURN(const std::string before, ReadContent(entry));
      content = edit->second(before);
      if (!content) return gone_.Add(entry.name);
      entry.size = std::ssize(*content);
    }
    if (entry.type == Entry::Type::kRegular) {
      content_ += static_cast<std::uint64_t>(entry.size);
      if (content_ > kMaxLayerContent) {
        return MakeError(ErrorCode::kLimit,
                         fmt::format("the files are larger than {}", FormatBytes(kMaxLayerContent)),
                         "remove large files with holes first");
      }
      meter_.CountContent(static_cast<std::uint64_t>(entry.size));
    }
    if (entry.name.empty()) entry.name.assign(1, '.');
    // Not every reader of layers knows the form of holes.
    if (content || HoleBytes(entry) < kMinHoles) entry.data.reset();
    PYRO_RETURN_IF_ERROR(to_.Add(entry));
    if (entry.type != Entry::Type::kRegular) return OkStatus();
    return content ? to_.Write(*content) : CopyContent(entry);
  }

  Result<std::string> ReadContent(const Entry& entry) {
    std::string content;
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto piece, from_.Read());
      if (!piece) break;
      content.resize(static_cast<std::size_t>(piece->offset), '\0');
      content += piece->bytes;
    }
    content.resize(static_cast<std::size_t>(entry.size), '\0');
    return content;
  }

  Status CopyContent(const Entry& entry) {
    std::int64_t position = 0;
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto piece, from_.Read());
      if (!piece) return to_.WriteZeros(entry.size - position);
      PYRO_RETURN_IF_ERROR(to_.WriteZeros(piece->offset - position));
      PYRO_RETURN_IF_ERROR(to_.Write(piece->bytes));
      position = piece->offset + static_cast<std::int64_t>(piece->bytes.size());
    }
  }

  TarReader& from_;
  TarWriter& to_;
  const LayerRules& rules_;
  Meter& meter_;
  LinkGuard links_;
  LinkGuard gone_;  // What is left out: a hard link to it would lead nowhere.
  std::uint64_t content_ = 0;
  std::vector<std::string> left_out_;
  std::size_t more_ = 0;
};

}  // namespace

Result<Layer> CopyLayer(int in_fd, int out_fd, const LayerRules& rules,
                        const Operation& operation) {
  const ByteNames byte_names;
  Meter meter(operation);
  FdSource source(in_fd, meter);
  PYRO_ASSIGN_OR_RETURN(const auto reader, TarReader::Create(source, meter, ErrorCode::kProtocol));
  PYRO_ASSIGN_OR_RETURN(const auto writer,
                        TarWriter::Create(out_fd, meter, TarWriter::Counting::kNo));
  reader->KeepAttributes();
  LayerCopier copier(*reader, *writer, rules, meter);
  PYRO_RETURN_IF_ERROR(copier.Run());
  meter.Finish();
  return Layer{meter.summary(), copier.Lines()};
}

}  // namespace pyro::archive
