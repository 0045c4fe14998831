// How a tar may be compressed, and what its file may be called.

#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "archive/tar.h"
#include "pyro/result.h"

namespace pyro::archive {

// What a stream begins with says how it is compressed. kNone is a plain tar, or no archive at all.
Compression CompressionOf(std::string_view beginning);

// Beginnings of this length are enough for CompressionOf() and ForeignFormatOf().
inline constexpr std::size_t kBeginningBytes = 16;

// The name of an archive or compression that is not taken, such as "zip"; empty if none is known.
std::string_view ForeignFormatOf(std::string_view beginning);

// The decompressed stream. `compressed` is borrowed and is at its end when this is. The checksums
// of the format are compared; gzip may have several members and zeros after them, bzip2, xz and
// zstd several streams. kInvalidArgument: damaged, cut off, or followed by something else.
Result<std::unique_ptr<Source>> Decompress(Source& compressed, Compression compression);

// Archive names, in capitals or not.
inline constexpr std::string_view kArchiveNames = ".tar, .tar.gz, .tar.bz2, .tar.xz or .tar.zst";

// nullopt: the name is none of kArchiveNames or their short forms, such as .tgz.
std::optional<Compression> CompressionOfName(const std::filesystem::path& file);

// The ending that names an archive which is not made, such as ".zip"; empty: there is none.
std::string_view ForeignNameOf(const std::filesystem::path& file);

}  // namespace pyro::archive
