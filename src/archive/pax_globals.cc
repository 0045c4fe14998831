#include "archive/pax_globals.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::archive {
namespace {

constexpr std::size_t kHeaderBlock = 512;
constexpr std::size_t kTypeAt = 156;
constexpr std::size_t kSizeAt = 124;
constexpr std::size_t kSizeDigits = 12;

constexpr std::size_t kMaxAttributes = 1000;
constexpr std::int64_t kMaxOwner = UINT32_MAX - 1;

// The types of headers that say something of the next one: pax, Solaris, GNU and others.
constexpr std::string_view kExtendedTypes = "gxXLKVNA";

// Octal digits, or a binary number behind a byte that is 0x80.
std::optional<std::size_t> SizeOf(std::string_view block) {
  std::string_view field = block.substr(kSizeAt, kSizeDigits);
  std::size_t size = 0;
  if (static_cast<unsigned char>(field[0]) == 0x80) {
    for (const char byte : field.substr(1)) {
      if (size > SIZE_MAX >> 8) return std::nullopt;
      size = size << 8 | static_cast<unsigned char>(byte);
    }
    return size;
  }
  field.remove_prefix(std::min(field.find_first_not_of(' '), field.size()));
  for (const char digit : field) {
    if (digit < '0' || digit > '7') break;
    size = size * 8 + static_cast<std::size_t>(digit - '0');
  }
  return size;
}

// Seconds with a fraction, which may be before 1970; as libarchive takes them.
std::optional<std::pair<std::int64_t, long>> ParseTime(std::string_view text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
  if (error != std::errc() || end != whole.data() + whole.size()) return std::nullopt;
  long nanoseconds = 0;
  std::string fraction(text.substr(std::min(point + 1, text.size())));
  fraction.resize(9, '0');
  for (const char digit : fraction) {
    if (digit < '0' || digit > '9') return std::nullopt;
    nanoseconds = nanoseconds * 10 + (digit - '0');
  }
  if (text.starts_with('-') && nanoseconds > 0)
    return std::pair(seconds - 1, 1'000'000'000 - nanoseconds);
  return std::pair(seconds, nanoseconds);
}

}  // namespace

Error PaxGlobals::Bad(std::string_view why) const {
  return MakeError(bad_, fmt::format("broken archive: a global header {}", why));
}

Status PaxGlobals::ReadRecords(std::string_view records, Attributes& attributes) const {
  while (!records.empty() && records.front() != '\0') {
    const std::size_t space = records.find(' ');
    std::size_t length = 0;
    const auto [end, error] =
        std::from_chars(records.data(), records.data() + std::min(space, records.size()), length);
    if (space == records.npos || error != std::errc() || end != records.data() + space ||
        length <= space + 1 || length > records.size() || records[length - 1] != '\n') {
      return Bad("cannot be read");
    }
    const std::string_view record = records.substr(space + 1, length - space - 2);
    const std::size_t equals = record.find('=');
    if (equals == record.npos) return Bad("cannot be read");
    if (attributes.size() >= kMaxAttributes) return Bad("says too much");
    attributes.insert_or_assign(std::string(record.substr(0, equals)),
                                std::string(record.substr(equals + 1)));
    records.remove_prefix(length);
  }
  return OkStatus();
}

Result<std::size_t> PaxGlobals::Read(std::string_view headers) {
  own_.clear();
  std::size_t at = 0;
  while (headers.size() - at >= kHeaderBlock) {
    const std::string_view block = headers.substr(at, kHeaderBlock);
    const char type = block[kTypeAt];
    if (kExtendedTypes.find(type) == kExtendedTypes.npos) break;
    const auto size = SizeOf(block);
    if (!size || *size > headers.size() - at - kHeaderBlock) return Bad("is too long");
    const std::string_view content = headers.substr(at + kHeaderBlock, *size);
    if (type == 'g') {
      PYRO_RETURN_IF_ERROR(ReadRecords(content, global_));
    } else if (type == 'x' || type == 'X') {
      // libarchive has read these as well, and has said so if they are broken.
      (void)ReadRecords(content, own_);
    } else if (type == 'L' || type == 'K') {
      own_.insert_or_assign(type == 'L' ? "path" : "linkpath", "");
    }
    at = std::min(at + kHeaderBlock + (*size + kHeaderBlock - 1) / kHeaderBlock * kHeaderBlock,
                  headers.size());
  }
  for (const auto& [key, value] : global_) {
    if (value.empty()) continue;
    if (key == "size" || key.starts_with("GNU.sparse.")) {
      return MakeError(
          bad_, fmt::format("a global header of the archive sets '{}' for all of its entries",
                            Printable(key)));
    }
  }
  return at;
}

Status PaxGlobals::Apply(Entry& entry) const {
  // An empty value takes an attribute back.
  const auto find = [&](std::string_view key) -> const std::string* {
    const auto found = global_.find(key);
    if (found == global_.end() || found->second.empty() || own_.contains(key)) return nullptr;
    return &found->second;
  };
  if (const auto* path = find("path"); path != nullptr && !own_.contains("GNU.sparse.name")) {
    entry.name = *path;
  }
  if (const auto* target = find("linkpath");
      target != nullptr &&
      (entry.type == Entry::Type::kSymlink || entry.type == Entry::Type::kHardLink)) {
    entry.target = *target;
  }
  if (const auto* time = find("mtime"); time != nullptr) {
    const auto parsed = ParseTime(*time);
    if (!parsed) return Bad("has an unreadable time");
    std::tie(entry.seconds, entry.nanoseconds) = *parsed;
  }
  for (const auto& [key, number] : {std::pair{"uid", &entry.uid}, std::pair{"gid", &entry.gid}}) {
    const auto* text = find(key);
    if (text == nullptr) continue;
    const auto parsed = ParseInt(*text);
    if (!parsed) return Bad("has an unreadable owner");
    *number = std::clamp<std::int64_t>(*parsed, 0, kMaxOwner);
  }
  return OkStatus();
}

}  // namespace pyro::archive
