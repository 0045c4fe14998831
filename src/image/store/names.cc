#include "image/store/names.h"

#include <system_error>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/store/catalog.h"
#include "image/store/digest.h"
#include "image/store/install_paths.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRegistryPrefix = "oci:";

bool HasVersion(const fs::path& environments, std::string_view name) {
  std::error_code error;
  return fs::is_symlink(environments / FolderName(name) / kCurrentName, error);
}

// Of an image in a registry, if `name` can be one.
std::optional<std::string> NameInRegistry(std::string_view name) {
  const auto source = ParseImageSource(fmt::format("{}{}", kRegistryPrefix, name));
  if (!source) return std::nullopt;
  return NameOf(*source);
}

std::string PullHint(std::string_view name) {
  if (FindCatalogEntry(name)) return fmt::format("pyro env pull {}", name);
  if (NameInRegistry(name)) return fmt::format("pyro env pull {}{}", kRegistryPrefix, name);
  return fmt::format("pull it from its archive again: pyro env pull SOURCE --name {}", name);
}

}  // namespace

std::string FolderName(std::string_view environment) {
  if (FindCatalogEntry(environment)) return DirectoryName(environment);
  return fmt::format("{}{}", kImagePrefix, Sha256Hex(environment).substr(0, kShortDigest));
}

std::optional<std::string> ImageNameOfFolder(const fs::path& folder) {
  if (!folder.filename().native().starts_with(kImagePrefix)) return std::nullopt;
  auto name = sys::ReadFile(folder / kNameFile, kMaxImageNameBytes);
  if (!name || !CheckImageName(*name) || FolderName(*name) != folder.filename()) {
    return std::nullopt;
  }
  return std::move(*name);
}

Status WriteImageName(const fs::path& folder, std::string_view name) {
  if (ImageNameOfFolder(folder) == name) return OkStatus();
  return sys::WriteFileAtomically(folder / kNameFile, name, 0644);
}

Result<std::string> ResolveName(const fs::path& environments, std::string_view text) {
  if (FindCatalogEntry(text)) return std::string(text);
  const bool in_registry = text.starts_with(kRegistryPrefix);
  if (IsImageSource(text) && !in_registry) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("'{}' is a source, not an environment", Printable(text, 200)),
                     fmt::format("install it first: pyro env pull {}", Printable(text, 200)));
  }
  const std::string_view name = in_registry ? text.substr(kRegistryPrefix.size()) : text;
  const bool valid = CheckImageName(name).ok();
  if (valid && HasVersion(environments, name)) return std::string(name);
  if (in_registry) {
    PYRO_ASSIGN_OR_RETURN(const ImageSource source, ParseImageSource(text));
    return NameOf(source);
  }
  if (!valid) return FindCatalogEntry(name).error();
  const std::string whole = NameInRegistry(name).value_or(fmt::format("{}:latest", name));
  return HasVersion(environments, whole) ? whole : std::string(name);
}

Result<std::string> NameForImage(const ImageSource& source, std::string_view wanted,
                                 std::string_view own) {
  std::string name(wanted);
  if (name.empty()) name = NameOf(source);
  if (name.empty()) name = own;
  if (name.empty()) name = StemOf(source.location);
  const Status valid = CheckImageName(name);
  if (valid) return name;
  Error error = valid.error();
  if (wanted.empty()) error.hint = "name the environment yourself: --name NAME";
  return error;
}

Error NotInstalled(std::string_view name) {
  auto entry = FindCatalogEntry(name);
  if (!entry && !NameInRegistry(name)) return std::move(entry).error();
  return MakeError(ErrorCode::kNotFound, fmt::format("the environment '{}' is not installed", name),
                   PullHint(name));
}

Error BrokenEnvironment(std::string_view name, std::string_view what) {
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("the environment '{}' is broken: {}", name, what), PullHint(name));
}

}  // namespace pyro::image
