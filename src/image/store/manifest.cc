#include "image/store/manifest.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/fields.h"
#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "image/oci/source.h"
#include "image/store/digest.h"

namespace pyro::image {
namespace {

constexpr std::size_t kMaxPackages = 20000;
constexpr std::size_t kMaxSources = 256;
constexpr std::size_t kMaxTools = 32;
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxLayers = 4096;
constexpr std::size_t kMaxLeftOut = 256;
constexpr std::string_view kModules = "modules";  // The directory beside the files.

Error BrokenManifest(std::string_view what) {
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("the environment's manifest is broken: {}", what),
                   "pull the environment again: the broken copy is replaced");
}

bool IsFileName(std::string_view name) {
  if (name.empty() || name.size() > 128 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '+';
  });
}

bool IsHexDigest(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

constexpr Field kFileFields[] = {
    Row<FileRecord, &FileRecord::name>("name"),
    Row<FileRecord, &FileRecord::size>("size").From(1),
    Row<FileRecord, &FileRecord::sha256>("sha256"),
};
constexpr Field kPackageFields[] = {
    Row<PackageRecord, &PackageRecord::name>("name"),
    Row<PackageRecord, &PackageRecord::version>("version"),
    Row<PackageRecord, &PackageRecord::architecture>("architecture"),
};
constexpr Field kImageFields[] = {
    // And `layers`, `config` and `left_out`.
    Row<ImageRecord, &ImageRecord::source>("source"),
    Row<ImageRecord, &ImageRecord::source_digest>("source_digest"),
    Row<ImageRecord, &ImageRecord::manifest_digest>("manifest_digest"),
    Row<ImageRecord, &ImageRecord::config_digest>("config_digest").MayLack(),
    Row<ImageRecord, &ImageRecord::layer_bytes>("layer_bytes"),
};
constexpr Field kStepFields[] = {
    Row<CommitStep, &CommitStep::sequence>("sequence"),
    Row<CommitStep, &CommitStep::command>("command"),
    Row<CommitStep, &CommitStep::cwd>("cwd"),
    Row<CommitStep, &CommitStep::user>("user"),
    Row<CommitStep, &CommitStep::outcome>("outcome"),
    Row<CommitStep, &CommitStep::exit_code>("exit_code"),
    Row<CommitStep, &CommitStep::started_at>("started_at"),
};
constexpr Field kCommitFields[] = {
    Row<CommitRecord, &CommitRecord::task_id>("task_id"),
    Row<CommitRecord, &CommitRecord::task_name>("task_name"),
    Row<CommitRecord, &CommitRecord::environment>("environment"),
    Row<CommitRecord, &CommitRecord::environment_digest>("environment_digest"),
    Row<CommitRecord, &CommitRecord::committed_at>("committed_at"),
    Row<CommitRecord, &CommitRecord::workspace>("workspace"),
    Row<CommitRecord, &CommitRecord::configured>("configured"),
    Row<CommitRecord, &CommitRecord::steps>("steps").Of(kStepFields).To(kMaxCommitSteps),
    Row<CommitRecord, &CommitRecord::more_steps>("more_steps"),
};
constexpr Field kManifestFields[] = {
    // And `apt_sources` and `tools`.
    Row<Manifest, &Manifest::environment>("environment"),
    Row<Manifest, &Manifest::catalog_version>("catalog_version"),
    Row<Manifest, &Manifest::built_at>("built_at"),
    Row<Manifest, &Manifest::base>("base").Of(kFileFields),
    Row<Manifest, &Manifest::layers>("layers").Of(kFileFields).To(kMaxLayerFiles).MayLack(),
    Row<Manifest, &Manifest::kernel>("kernel").Of(kFileFields),
    Row<Manifest, &Manifest::modules>("modules").Of(kFileFields),
    Row<Manifest, &Manifest::kernel_release>("kernel_release"),
    Row<Manifest, &Manifest::kernel_package>("kernel_package"),
    Row<Manifest, &Manifest::kernel_package_version>("kernel_package_version"),
    Row<Manifest, &Manifest::packages>("packages").Of(kPackageFields),
    Row<Manifest, &Manifest::image>("image").Of(kImageFields),
    Row<Manifest, &Manifest::commit>("commit").Of(kCommitFields),
};

Result<const Json*> Member(const Json& object, const char* key, Json::value_t type) {
  const auto found = object.find(key);
  if (found == object.end() || found->type() != type) {
    return BrokenManifest(fmt::format("'{}' is missing or of the wrong type", key));
  }
  return &*found;
}

Status CheckFile(const FileRecord& file) {
  if (!IsFileName(file.name)) {
    return BrokenManifest(fmt::format("'{}' is not a file name", Printable(file.name, 64)));
  }
  if (!IsHexDigest(file.sha256)) {
    return BrokenManifest(fmt::format("the digest of '{}' is no digest", file.name));
  }
  return OkStatus();
}

Status CheckFiles(const Manifest& manifest) {
  PYRO_RETURN_IF_ERROR(CheckFile(manifest.base));
  PYRO_RETURN_IF_ERROR(CheckFile(manifest.kernel));
  if (manifest.modules.size() > kMaxModules) return BrokenManifest("too many modules");
  if (manifest.packages.size() > kMaxPackages) return BrokenManifest("too many packages");
  std::set<std::string> names = {manifest.base.name, manifest.kernel.name, std::string(kModules)};
  for (const FileRecord& layer : manifest.layers) {
    PYRO_RETURN_IF_ERROR(CheckFile(layer));
    if (!names.insert(layer.name).second) {
      return BrokenManifest(fmt::format("the file '{}' is listed twice", layer.name));
    }
  }
  std::set<std::string> seen;
  for (const FileRecord& module : manifest.modules) {
    PYRO_RETURN_IF_ERROR(CheckFile(module));
    if (!seen.insert(module.name).second) {
      return BrokenManifest(fmt::format("module '{}' is listed twice", module.name));
    }
  }
  return OkStatus();
}

Result<std::vector<std::string>> Texts(const Json& object, const char* key, std::size_t most) {
  PYRO_ASSIGN_OR_RETURN(const Json* values, Member(object, key, Json::value_t::array));
  if (values->size() > most) return BrokenManifest(fmt::format("'{}' has too many members", key));
  std::vector<std::string> texts;
  for (const auto& value : *values) {
    if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxText) {
      return BrokenManifest(fmt::format("a member of '{}' is not a short string", key));
    }
    texts.push_back(value.get<std::string>());
  }
  return texts;
}

// Its plain fields have been read.
Status ParseImage(const Json& object, ImageRecord& image) {
  PYRO_ASSIGN_OR_RETURN(image.layers, Texts(object, "layers", kMaxLayers));
  PYRO_ASSIGN_OR_RETURN(image.left_out, Texts(object, "left_out", kMaxLeftOut));
  PYRO_ASSIGN_OR_RETURN(const Json* config, Member(object, "config", Json::value_t::object));
  auto read = ImageConfigFromJson(*config);
  if (!read) return BrokenManifest(read.error().message);
  image.config = std::move(*read);
  const bool digests = IsSha256Digest(image.source_digest) &&
                       (image.config_digest.empty() || IsSha256Digest(image.config_digest)) &&
                       IsSha256Digest(image.manifest_digest) &&
                       std::all_of(image.layers.begin(), image.layers.end(),
                                   [](const std::string& layer) { return IsSha256Digest(layer); });
  return digests ? OkStatus() : BrokenManifest("a digest of its image is no digest");
}

Status ParseProvenance(const Json& root, Manifest& manifest) {
  PYRO_ASSIGN_OR_RETURN(manifest.apt_sources, Texts(root, "apt_sources", kMaxSources));
  if (manifest.image) PYRO_RETURN_IF_ERROR(ParseImage(root.at("image"), *manifest.image));
  if (manifest.commit && !manifest.image) return BrokenManifest("a commit without its image");
  PYRO_ASSIGN_OR_RETURN(const Json* tools, Member(root, "tools", Json::value_t::object));
  if (tools->size() > kMaxTools) return BrokenManifest("too many tools");
  for (const auto& [name, value] : tools->items()) {
    if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxText) {
      return BrokenManifest("a tool's version is not a short string");
    }
    manifest.tools[name] = value.get<std::string>();
  }
  return OkStatus();
}

}  // namespace

std::string ContentDigest(const Manifest& manifest) {
  std::string text;
  const auto add = [&](std::string_view role, const FileRecord& file) {
    text += fmt::format("{} {} {}\n", role, file.name, file.sha256);
  };
  add("base", manifest.base);
  for (const auto& layer : manifest.layers) add("layer", layer);
  add("kernel", manifest.kernel);
  for (const auto& module : manifest.modules) add("module", module);
  // Two images may have all their disks in common.
  if (manifest.image && !manifest.image->config_digest.empty()) {
    text += fmt::format("config {}\n", manifest.image->config_digest);
  }
  return Sha256Hex(text);
}

std::string FormatManifest(const Manifest& manifest) {
  Json root = FieldsToJson(kManifestFields, &manifest);
  root["schema"] = kManifestSchema;
  root["apt_sources"] = manifest.apt_sources;
  root["tools"] = manifest.tools;
  if (manifest.image) {
    Json& image = root["image"];
    image["layers"] = manifest.image->layers;
    image["left_out"] = manifest.image->left_out;
    image["config"] = ImageConfigToJson(manifest.image->config);
  }
  return ToPrettyJson(root) + "\n";
}

Result<Manifest> ParseManifest(std::string_view text) {
  auto parsed = ParseJson(text, kMaxManifestBytes);
  if (!parsed) return BrokenManifest(parsed.error().message);
  const Json& root = *parsed;
  if (!root.is_object()) return BrokenManifest("it is not an object");
  if (!GetInt(root, "schema", kManifestSchema, kManifestSchema)) {
    return BrokenManifest("it is of another schema");
  }
  Manifest manifest;
  const Status read = ReadFields(kManifestFields, root, &manifest);
  if (!read) return BrokenManifest(read.error().message);
  PYRO_RETURN_IF_ERROR(CheckFiles(manifest));
  PYRO_RETURN_IF_ERROR(ParseProvenance(root, manifest));
  return manifest;
}

}  // namespace pyro::image
