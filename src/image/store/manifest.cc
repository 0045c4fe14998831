#include "image/store/manifest.h"

#include <algorithm>
#include <limits>
#include <set>

#include <fmt/format.h>

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

Json ToJson(const FileRecord& file) {
  return {{"name", file.name}, {"size", file.size}, {"sha256", file.sha256}};
}

Result<const Json*> Member(const Json& object, const char* key, Json::value_t type) {
  const auto found = object.find(key);
  if (found == object.end() || found->type() != type) {
    return BrokenManifest(fmt::format("'{}' is missing or of the wrong type", key));
  }
  return &*found;
}

Result<std::string> Text(const Json& object, const char* key) {
  auto text = GetString(object, key, kMaxText);
  if (!text) return BrokenManifest(text.error().message);
  return text;
}

Result<FileRecord> ParseFile(const Json& value) {
  if (!value.is_object()) return BrokenManifest("a file entry is not an object");
  FileRecord file;
  PYRO_ASSIGN_OR_RETURN(file.name, Text(value, "name"));
  PYRO_ASSIGN_OR_RETURN(file.sha256, Text(value, "sha256"));
  if (!IsFileName(file.name))
    return BrokenManifest(fmt::format("'{}' is not a file name", Printable(file.name, 64)));
  if (!IsHexDigest(file.sha256))
    return BrokenManifest(fmt::format("the digest of '{}' is no digest", file.name));
  auto size = GetInt(value, "size", 1, std::numeric_limits<std::int64_t>::max());
  if (!size) return BrokenManifest(size.error().message);
  file.size = static_cast<std::uint64_t>(*size);
  return file;
}

Result<FileRecord> ParseFileAt(const Json& root, const char* key) {
  PYRO_ASSIGN_OR_RETURN(const Json* value, Member(root, key, Json::value_t::object));
  return ParseFile(*value);
}

Status ParseModules(const Json& root, Manifest& manifest) {
  PYRO_ASSIGN_OR_RETURN(const Json* modules, Member(root, "modules", Json::value_t::array));
  if (modules->size() > kMaxModules) return BrokenManifest("too many modules");
  std::set<std::string> seen;
  for (const auto& value : *modules) {
    PYRO_ASSIGN_OR_RETURN(FileRecord file, ParseFile(value));
    if (!seen.insert(file.name).second)
      return BrokenManifest(fmt::format("module '{}' is listed twice", file.name));
    manifest.modules.push_back(std::move(file));
  }
  return OkStatus();
}

Status ParsePackages(const Json& root, Manifest& manifest) {
  PYRO_ASSIGN_OR_RETURN(const Json* packages, Member(root, "packages", Json::value_t::array));
  if (packages->size() > kMaxPackages) return BrokenManifest("too many packages");
  for (const auto& value : *packages) {
    if (!value.is_object()) return BrokenManifest("a package entry is not an object");
    PackageRecord package;
    PYRO_ASSIGN_OR_RETURN(package.name, Text(value, "name"));
    PYRO_ASSIGN_OR_RETURN(package.version, Text(value, "version"));
    PYRO_ASSIGN_OR_RETURN(package.architecture, Text(value, "architecture"));
    manifest.packages.push_back(std::move(package));
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
  Json modules = Json::array();
  for (const auto& module : manifest.modules) modules.push_back(ToJson(module));
  Json packages = Json::array();
  for (const auto& package : manifest.packages) {
    packages.push_back({{"name", package.name},
                        {"version", package.version},
                        {"architecture", package.architecture}});
  }
  const Json root = {{"schema", kManifestSchema},
                     {"environment", manifest.environment},
                     {"catalog_version", manifest.catalog_version},
                     {"built_at", manifest.built_at},
                     {"base", ToJson(manifest.base)},
                     {"kernel", ToJson(manifest.kernel)},
                     {"modules", std::move(modules)},
                     {"kernel_release", manifest.kernel_release},
                     {"kernel_package", manifest.kernel_package},
                     {"kernel_package_version", manifest.kernel_package_version},
                     {"packages", std::move(packages)},
                     {"apt_sources", manifest.apt_sources},
                     {"tools", manifest.tools}};
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
  PYRO_ASSIGN_OR_RETURN(manifest.environment, Text(root, "environment"));
  PYRO_ASSIGN_OR_RETURN(manifest.catalog_version, Text(root, "catalog_version"));
  PYRO_ASSIGN_OR_RETURN(manifest.built_at, Text(root, "built_at"));
  PYRO_ASSIGN_OR_RETURN(manifest.base, ParseFileAt(root, "base"));
  PYRO_ASSIGN_OR_RETURN(manifest.kernel, ParseFileAt(root, "kernel"));
  PYRO_ASSIGN_OR_RETURN(manifest.kernel_release, Text(root, "kernel_release"));
  PYRO_ASSIGN_OR_RETURN(manifest.kernel_package, Text(root, "kernel_package"));
  PYRO_ASSIGN_OR_RETURN(manifest.kernel_package_version, Text(root, "kernel_package_version"));
  PYRO_RETURN_IF_ERROR(ParseModules(root, manifest));
  PYRO_RETURN_IF_ERROR(ParsePackages(root, manifest));
  PYRO_RETURN_IF_ERROR(ParseProvenance(root, manifest));
  return manifest;
}

}  // namespace pyro::image
