// The JSON documents around an image: an OCI layout's index, indexes and manifests of registries, a
// Docker archive's manifest.json. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro::image {

inline constexpr std::size_t kMaxImageJsonBytes = 4 << 20;

// What a document says of another one, or of a layer. A value.
struct Descriptor {
  std::string media_type;
  std::string digest;  // IsSha256Digest.
  std::uint64_t size = 0;
  std::string platform;   // Such as linux/amd64 or linux/arm/v7; empty if it is not given.
  std::string name;       // Of a layout's entry: its tag, as the layout's maker wrote it; or empty.
  std::string full_name;  // The same with the image's name, as Docker writes it; or empty.
};

// An index has `manifests`, a manifest has `config` and perhaps `layers`.
struct ImageDocument {
  bool is_index = false;
  std::vector<Descriptor> manifests;
  Descriptor config;
  std::vector<Descriptor> layers;
};

// kDataLoss: it is no such document. kInvalidArgument: it is one that is not taken: Docker's first
// format, or with digests that are not SHA-256. kLimit: it is too long.
Result<ImageDocument> ParseImageDocument(std::string_view json);

// The index's image for linux/amd64, or else one without a platform. Attestations are no images.
// kInvalidArgument names the platforms that there are. The pointer is into `document`.
Result<const Descriptor*> ChooseImage(const ImageDocument& document);

// kInvalidArgument: the manifest is not that of an image but, say, of a chart.
Status CheckIsImage(const ImageDocument& manifest);

// The entry of a layout's index that `tag` names; if it is empty, the only one. Entries of one name
// for several platforms count as one. kNotFound, kInvalidArgument: the hint lists the names.
Result<const Descriptor*> ChooseEntry(const ImageDocument& index, std::string_view tag);

// The manifest with the media types of OCI in place of Docker's, which umoci does not take. The
// same bytes if it has none of those.
Result<std::string> WithOciMediaTypes(std::string_view manifest);

// An index with one entry, called `name`.
std::string FormatIndex(const Descriptor& entry, std::string_view name);

// One image of a Docker archive's manifest.json.
struct DockerImage {
  std::string config;             // A path in the archive.
  std::vector<std::string> tags;  // RepoTags, such as team/app:1.
};

// Errors as ParseImageDocument.
Result<std::vector<DockerImage>> ParseDockerManifest(std::string_view json);

// The place of the image that `tag` names: a RepoTag, its end behind a '/', either without :latest,
// or @N. If it is empty, the only one. kNotFound, kInvalidArgument: the hint lists the names.
Result<std::size_t> ChooseDockerImage(const std::vector<DockerImage>& images, std::string_view tag);

}  // namespace pyro::image
