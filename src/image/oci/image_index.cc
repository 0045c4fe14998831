#include "image/oci/image_index.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "image/oci/source.h"

namespace pyro::image {
namespace {

constexpr std::size_t kMaxEntries = 10'000;
constexpr std::size_t kMaxJsonText = 1024;
constexpr std::int64_t kMaxBlobBytes = std::int64_t{1} << 50;
constexpr std::size_t kMaxListed = 10;  // Names in a hint.
constexpr std::string_view kTagKey = "org.opencontainers.image.ref.name";
constexpr std::string_view kFullNameKey = "io.containerd.image.name";
constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kPlatform = "linux/amd64";
constexpr std::string_view kNoPlatform = "unknown/unknown";  // Of attestations.

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kOciTypes = {{
    {"application/vnd.docker.distribution.manifest.v2+json", kOciManifest},
    {"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip",
     "application/vnd.oci.image.layer.v1.tar+gzip"},
    {"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
     "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
}};

Error BadDocument(std::string_view why) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("the image's description is broken: {}", why),
                   "make or push the image again");
}

std::string TextAt(const Json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  const auto& text = found->get_ref<const std::string&>();
  return text.size() <= kMaxJsonText ? text : std::string();
}

const Json& Child(const Json& object, std::string_view key) {
  static const Json kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

std::string PlatformOf(const Json& platform) {
  if (!platform.is_object()) return {};
  std::string text = fmt::format("{}/{}", TextAt(platform, "os"), TextAt(platform, "architecture"));
  const std::string variant = TextAt(platform, "variant");
  return variant.empty() ? text : fmt::format("{}/{}", text, variant);
}

Result<Descriptor> ReadDescriptor(const Json& json) {
  if (!json.is_object()) return BadDocument("an entry is no object");
  Descriptor descriptor;
  descriptor.media_type = TextAt(json, "mediaType");
  descriptor.digest = TextAt(json, "digest");
  if (!IsSha256Digest(descriptor.digest)) {
    const auto colon = descriptor.digest.find(':');
    if (colon == std::string::npos || descriptor.digest.starts_with("sha256:")) {
      return BadDocument("an entry has no digest");
    }
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the image has digests of '{}', and only sha256 is known",
                                 Printable(descriptor.digest.substr(0, colon), 32)));
  }
  const auto size = GetInt(json, "size", 0, kMaxBlobBytes);
  if (!size) return BadDocument("an entry has no size");
  descriptor.size = static_cast<std::uint64_t>(*size);
  descriptor.platform = PlatformOf(Child(json, "platform"));
  const Json& annotations = Child(json, "annotations");
  descriptor.name = TextAt(annotations, kTagKey);
  descriptor.full_name = TextAt(annotations, kFullNameKey);
  return descriptor;
}

Result<std::vector<Descriptor>> ReadDescriptors(const Json& list) {
  if (!list.is_array() || list.size() > kMaxEntries) {
    return BadDocument(fmt::format("its list has not 0 to {} entries", kMaxEntries));
  }
  std::vector<Descriptor> descriptors;
  for (const Json& json : list) {
    PYRO_ASSIGN_OR_RETURN(Descriptor descriptor, ReadDescriptor(json));
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

Result<Json> ParseDocument(std::string_view text) {
  if (text.size() > kMaxImageJsonBytes) {
    return MakeError(ErrorCode::kLimit, fmt::format("the image's description has more than {}",
                                                    FormatBytes(kMaxImageJsonBytes)));
  }
  auto json = ParseJson(text, kMaxImageJsonBytes);
  if (!json) return BadDocument("it is no JSON");
  return json;
}

// For a hint: those names, each once.
std::string Listed(const std::set<std::string>& names) {
  std::vector<std::string> shown;
  for (const auto& name : names) {
    if (shown.size() == kMaxListed) {
      shown.push_back(fmt::format("and {} more", names.size() - kMaxListed));
      break;
    }
    shown.push_back(Printable(name, 120));
  }
  return fmt::format("{}", fmt::join(shown, ", "));
}

std::string EntryName(const Descriptor& entry) {
  return entry.full_name.empty() ? entry.name : entry.full_name;
}

Error SeveralImages(std::size_t count, const std::set<std::string>& names) {
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("there are {} images in it", count),
                   fmt::format("name one behind the path and a colon: {}", Listed(names)));
}

Error NoSuchImage(std::string_view tag, const std::set<std::string>& names) {
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("there is no image '{}' in it", Printable(tag, 120)),
                   names.empty() ? "its images have no names: leave the name out"
                                 : fmt::format("it has: {}", Listed(names)));
}

// Whether all are the same image, perhaps for several platforms.
bool AreOneImage(const std::vector<const Descriptor*>& entries) {
  return std::all_of(entries.begin(), entries.end(), [&](const Descriptor* entry) {
    return entry->digest == entries[0]->digest ||
           (EntryName(*entry) == EntryName(*entries[0]) && !entry->platform.empty());
  });
}

Result<const Descriptor*> ForThisMachine(const std::vector<const Descriptor*>& entries) {
  std::set<std::string> platforms;
  const Descriptor* chosen = nullptr;
  int chosen_rank = 0;
  for (const Descriptor* entry : entries) {
    if (entry->platform == kNoPlatform) continue;
    if (!entry->platform.empty()) platforms.insert(entry->platform);
    // Variants such as v3 need a newer CPU than a guest may have.
    const int rank = entry->platform == kPlatform || entry->platform == "linux/amd64/v1" ? 3
                     : entry->platform.starts_with("linux/amd64/")                       ? 2
                     : entry->platform.empty()                                           ? 1
                                                                                         : 0;
    if (rank <= chosen_rank) continue;
    chosen = entry;
    chosen_rank = rank;
  }
  if (chosen != nullptr) return chosen;
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("the image is not for {}", kPlatform),
                   platforms.empty() ? "its index names no image"
                                     : fmt::format("it is for {}", Listed(platforms)));
}

// RepoTags that a person means by `tag`.
bool MatchesTag(std::string_view repo_tag, std::string_view tag) {
  const auto ends = [&](std::string_view wanted) {
    return repo_tag == wanted || (repo_tag.size() > wanted.size() && repo_tag.ends_with(wanted) &&
                                  repo_tag[repo_tag.size() - wanted.size() - 1] == '/');
  };
  return ends(tag) || ends(fmt::format("{}:latest", tag));
}

}  // namespace

Result<ImageDocument> ParseImageDocument(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  if (!json.is_object()) return BadDocument("it is no object");
  ImageDocument document;
  if (json.contains("manifests")) {
    document.is_index = true;
    PYRO_ASSIGN_OR_RETURN(document.manifests, ReadDescriptors(json["manifests"]));
    return document;
  }
  if (!json.contains("config")) {
    if (json.contains("fsLayers")) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the image is in Docker's first format, which is no longer taken",
                       "push it again with a newer tool");
    }
    return BadDocument("it is neither an index nor a manifest");
  }
  PYRO_ASSIGN_OR_RETURN(document.config, ReadDescriptor(json["config"]));
  if (json.contains("layers")) {
    PYRO_ASSIGN_OR_RETURN(document.layers, ReadDescriptors(json["layers"]));
  }
  return document;
}

Result<const Descriptor*> ChooseImage(const ImageDocument& document) {
  std::vector<const Descriptor*> entries;
  for (const auto& entry : document.manifests) entries.push_back(&entry);
  return ForThisMachine(entries);
}

Status CheckIsImage(const ImageDocument& manifest) {
  const std::string& type = manifest.config.media_type;
  if (type == kOciTypes[1].first || type == kOciTypes[1].second) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("there is no image behind that name but a '{}'",
                               Printable(type.empty() ? "thing without a type" : type, 120)));
}

Result<const Descriptor*> ChooseEntry(const ImageDocument& index, std::string_view tag) {
  std::vector<const Descriptor*> entries;
  std::set<std::string> names;
  for (const auto& entry : index.manifests) {
    if (const std::string name = EntryName(entry); !name.empty()) names.insert(name);
    if (tag.empty() || entry.name == tag || entry.full_name == tag) entries.push_back(&entry);
  }
  if (entries.empty() && !tag.empty()) return NoSuchImage(tag, names);
  if (entries.empty()) return MakeError(ErrorCode::kNotFound, "there is no image in it");
  if (entries.size() == 1) return entries[0];
  if (AreOneImage(entries)) return ForThisMachine(entries);
  if (!tag.empty()) {
    names.clear();
    for (const Descriptor* entry : entries) names.insert(EntryName(*entry));
  }
  return SeveralImages(entries.size(), names);
}

Result<std::string> WithOciMediaTypes(std::string_view manifest) {
  PYRO_ASSIGN_OR_RETURN(Json json, ParseDocument(manifest));
  bool changed = false;
  const auto change = [&](Json& object) {
    const std::string type = TextAt(object, "mediaType");
    for (const auto& [docker, oci] : kOciTypes) {
      if (type != docker) continue;
      object["mediaType"] = oci;
      changed = true;
    }
  };
  if (json.is_object()) {
    change(json);
    if (json.contains("config")) change(json["config"]);
    if (json.contains("layers") && json["layers"].is_array()) {
      for (Json& layer : json["layers"]) change(layer);
    }
  }
  return changed ? ToJsonLine(json) : std::string(manifest);
}

std::string FormatIndex(const Descriptor& entry, std::string_view name) {
  Json json;
  json["schemaVersion"] = 2;
  json["manifests"] = Json::array(
      {{{"mediaType", entry.media_type.empty() ? std::string(kOciManifest) : entry.media_type},
        {"digest", entry.digest},
        {"size", entry.size},
        {"annotations", {{std::string(kTagKey), std::string(name)}}}}});
  return ToJsonLine(json);
}

Result<std::vector<DockerImage>> ParseDockerManifest(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  if (!json.is_array() || json.size() > kMaxEntries) return BadDocument("it is no list of images");
  std::vector<DockerImage> images;
  for (const Json& one : json) {
    DockerImage image;
    image.config = TextAt(one, "Config");
    if (image.config.empty()) return BadDocument("an image has no configuration");
    const Json& tags = Child(one, "RepoTags");
    if (tags.is_array() && tags.size() <= kMaxEntries) {
      for (const Json& tag : tags) {
        if (tag.is_string() && tag.get_ref<const std::string&>().size() <= kMaxJsonText) {
          image.tags.push_back(tag.get<std::string>());
        }
      }
    }
    images.push_back(std::move(image));
  }
  return images;
}

Result<std::size_t> ChooseDockerImage(const std::vector<DockerImage>& images,
                                      std::string_view tag) {
  std::set<std::string> names;
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto& tags = images[i].tags;
    if (tags.empty()) names.insert(fmt::format("@{}", i));
    names.insert(tags.begin(), tags.end());
    const bool wanted = tag.empty() || tag == fmt::format("@{}", i) ||
                        std::any_of(tags.begin(), tags.end(),
                                    [&](const std::string& one) { return MatchesTag(one, tag); });
    if (wanted) found.push_back(i);
  }
  if (found.size() == 1) return found[0];
  if (found.empty() && tag.empty()) {
    return MakeError(ErrorCode::kNotFound, "there is no image in it");
  }
  if (found.empty()) return NoSuchImage(tag, names);
  // The same name in full goes before names that end with it.
  for (const std::size_t i : found) {
    const auto& tags = images[i].tags;
    if (std::find(tags.begin(), tags.end(), tag) != tags.end()) return i;
  }
  return SeveralImages(found.size(), names);
}

}  // namespace pyro::image
