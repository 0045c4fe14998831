#include "archive/formats.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace pyro::archive {
namespace {

using namespace std::string_view_literals;

constexpr std::pair<std::string_view, Compression> kNames[] = {
    {".tar", Compression::kNone},     {".tar.gz", Compression::kGzip},
    {".tgz", Compression::kGzip},     {".tar.bz2", Compression::kBzip2},
    {".tbz2", Compression::kBzip2},   {".tbz", Compression::kBzip2},
    {".tar.xz", Compression::kXz},    {".txz", Compression::kXz},
    {".tar.zst", Compression::kZstd}, {".tzst", Compression::kZstd},
};

constexpr std::string_view kForeignNames[] = {
    ".zip",     ".7z",     ".rar",   ".cpio",    ".tar.lz", ".tlz",
    ".tar.lz4", ".tar.br", ".tar.z", ".tar.lzo", ".taz",    ".tar.lzma",
};

constexpr std::pair<std::string_view, std::string_view> kForeign[] = {
    {"PK\3\4"sv, "zip"},        {"PK\5\6"sv, "zip"},   {"7z\xbc\xaf\x27\x1c"sv, "7z"},
    {"Rar!\x1a\x07"sv, "rar"},  {"LZIP"sv, "lzip"},    {"\x04\x22\x4d\x18"sv, "lz4"},
    {"\x1f\x9d"sv, "compress"}, {"070701"sv, "cpio"},  {"070707"sv, "cpio"},
    {"\x5d\x00\x00"sv, "lzma"}, {"\x89LZO"sv, "lzop"}, {"!<arch>\n"sv, "ar"},
};

std::string LowerName(const std::filesystem::path& file) {
  std::string name = file.filename().native();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name;
}

// A skippable frame may come first, as pzstd writes it.
bool IsZstd(std::string_view beginning) {
  if (beginning.starts_with("\x28\xb5\x2f\xfd"sv)) return true;
  return beginning.size() >= 4 && (static_cast<unsigned char>(beginning[0]) & 0xf0) == 0x50 &&
         beginning.substr(1, 3) == "\x2a\x4d\x18"sv;
}

// The digit is a block size. A name in a plain tar may begin so, but not go on with these bytes:
// those of a block, or of an empty stream's end.
bool IsBzip2(std::string_view beginning) {
  if (beginning.size() < 10 || !beginning.starts_with("BZh")) return false;
  if (beginning[3] < '1' || beginning[3] > '9') return false;
  const std::string_view block = beginning.substr(4, 6);
  return block == "1AY&SY"sv || block == "\x17\x72\x45\x38\x50\x90"sv;
}

}  // namespace

Compression CompressionOf(std::string_view beginning) {
  if (beginning.starts_with("\x1f\x8b"sv)) return Compression::kGzip;
  if (beginning.starts_with("\xfd"
                            "7zXZ\0"sv)) {
    return Compression::kXz;
  }
  if (IsZstd(beginning)) return Compression::kZstd;
  if (IsBzip2(beginning)) return Compression::kBzip2;
  return Compression::kNone;
}

std::string_view ForeignFormatOf(std::string_view beginning) {
  for (const auto& [magic, name] : kForeign) {
    if (beginning.starts_with(magic)) return name;
  }
  return {};
}

std::optional<Compression> CompressionOfName(const std::filesystem::path& file) {
  const std::string name = LowerName(file);
  for (const auto& [ending, compression] : kNames) {
    if (name.size() > ending.size() && name.ends_with(ending)) return compression;
  }
  return std::nullopt;
}

std::string_view ForeignNameOf(const std::filesystem::path& file) {
  const std::string name = LowerName(file);
  for (const std::string_view ending : kForeignNames) {
    if (name.size() > ending.size() && name.ends_with(ending)) return ending;
  }
  return {};
}

}  // namespace pyro::archive
