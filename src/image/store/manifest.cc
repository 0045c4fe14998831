#include "image/store/manifest.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/fields.h"
#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "image/store/digest.h"

namespace pyro::image {
namespace {

constexpr std::size_t kMaxPackages = 20000;
constexpr std::size_t kMaxSources = 256;
constexpr std::size_t kMaxTools = 32;
constexpr std::size_t kMaxText = 4096;

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
constexpr Field kManifestFields[] = {
    // And `apt_sources` and `tools`.
    Row<Manifest, &Manifest::environment>("environment"),
    Row<Manifest, &Manifest::catalog_version>("catalog_version"),
    Row<Manifest, &Manifest::built_at>("built_at"),
    Row<Manifest, &Manifest::base>("base").Of(kFileFields),
    Row<Manifest, &Manifest::kernel>("kernel").Of(kFileFields),
    Row<Manifest, &Manifest::modules>("modules").Of(kFileFields),
    Row<Manifest, &Manifest::kernel_release>("kernel_release"),
    Row<Manifest, &Manifest::kernel_package>("kernel_package"),
    Row<Manifest, &Manifest::kernel_package_version>("kernel_package_version"),
    Row<Manifest, &Manifest::packages>("packages").Of(kPackageFields),
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
  std::set<std::string> seen;
  for (const FileRecord& module : manifest.modules) {
    PYRO_RETURN_IF_ERROR(CheckFile(module));
    if (!seen.insert(module.name).second) {
      return BrokenManifest(fmt::format("module '{}' is listed twice", module.name));
    }
  }
  return OkStatus();
}

Status ParseProvenance(const Json& root, Manifest& manifest) {
  PYRO_ASSIGN_OR_RETURN(const Json* sources, Member(root, "apt_sources", Json::value_t::array));
  if (sources->size() > kMaxSources) return BrokenManifest("too many apt sources");
  for (const auto& value : *sources) {
    if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxText) {
      return BrokenManifest("an apt source is not a short string");
    }
    manifest.apt_sources.push_back(value.get<std::string>());
  }
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
  add("kernel", manifest.kernel);
  for (const auto& module : manifest.modules) add("module", module);
  return Sha256Hex(text);
}

std::string FormatManifest(const Manifest& manifest) {
  Json root = FieldsToJson(kManifestFields, &manifest);
  root["schema"] = kManifestSchema;
  root["apt_sources"] = manifest.apt_sources;
  root["tools"] = manifest.tools;
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
