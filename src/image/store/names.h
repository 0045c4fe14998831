// The names of environments, and their folders below environments/.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "image/oci/source.h"
#include "pyro/result.h"

namespace pyro::image {

// "debian-12" for the catalog's debian:12. "image-" and 16 digits of its digest for another name,
// which may have any length and bytes that a folder's name cannot have.
std::string FolderName(std::string_view environment);

// The folder's file `name` says it of images, so that a broken one can be named, too. nullopt: it
// is no image's folder, or its file is not of this folder.
std::optional<std::string> ImageNameOfFolder(const std::filesystem::path& folder);
Status WriteImageName(const std::filesystem::path& folder, std::string_view name);

// The name of the environment that `text` means: as it is, without oci:, and with :latest if
// `environments` has no environment without it. kNotFound: no environment can have this name.
// kInvalidArgument: oci: with what no registry can have.
Result<std::string> ResolveName(const std::filesystem::path& environments, std::string_view text);

// `wanted`, or else the name that the source gives, or `own` of what is in it, or its file's name.
// kInvalidArgument: none of them is a name that an image may have.
Result<std::string> NameForImage(const ImageSource& source, std::string_view wanted,
                                 std::string_view own);

// kNotFound and kDataLoss, with the way to install it as the hint.
Error NotInstalled(std::string_view name);
Error BrokenEnvironment(std::string_view name, std::string_view what);

}  // namespace pyro::image
