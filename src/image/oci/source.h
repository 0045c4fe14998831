// What `env pull` is given: a registry's image, an archive, a directory, and the name that the
// environment gets by it.

#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro::image {

enum class Transport { kRegistry, kOciArchive, kDockerArchive, kOciLayout };

inline constexpr std::size_t kMaxImageSourceBytes = 4096;
inline constexpr std::size_t kMaxImageNameBytes = 255;

// A value.
struct ImageSource {
  Transport transport = Transport::kRegistry;
  std::string location;  // REGISTRY/NAME, or the absolute path of a file or directory.
  // Of a registry: its tag. Of an archive or a layout: the image in it, where it has several, such
  // as team/app:1 or (docker-archive) @0. Empty if it was not given.
  std::string tag;
  std::string digest;  // "sha256:" and 64 digits, of a registry's image; else empty.

  bool operator==(const ImageSource&) const = default;
};

// The text begins with one of oci:, oci-archive:, docker-archive:, oci-layout:.
bool IsImageSource(std::string_view text);

// kInvalidArgument: it is none, or not well formed. A registry must be named: its name has a dot or
// a port, or is localhost. A relative path counts from the present working directory, and ends at
// the first colon.
Result<ImageSource> ParseImageSource(std::string_view text);

// As a person would type it; ParseImageSource reads it back.
std::string FormatImageSource(const ImageSource& source);

// What an environment that is made of an image may be called: [a-z0-9][A-Za-z0-9._/:@-]*, at most
// kMaxImageNameBytes, without empty and '..' components, no name of the catalog (nor one that
// begins with "debian:") and no source. kInvalidArgument otherwise.
Status CheckImageName(std::string_view name);

// Of a registry's image: the source without oci:, with :latest if it has neither tag nor digest.
// Empty for the others: what they hold says how they are called.
std::string NameOf(const ImageSource& source);

// The name of an archive or a layout without its folders and endings: app of /tmp/app.tar.gz.
std::string StemOf(const std::filesystem::path& location);

// Whether the text is "sha256:" and 64 lower-case hexadecimal digits.
bool IsSha256Digest(std::string_view text);

}  // namespace pyro::image
