// OCI layouts that pyro makes itself, and archives of layouts.

#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "image/oci/config.h"
#include "image/progress.h"
#include "pyro/result.h"

namespace pyro::image {

// One line of an image's history. All texts are valid UTF-8.
struct HistoryLine {
  std::string created;     // RFC 3339.
  std::string created_by;  // A command.
  std::string comment;
};

// What an image says of itself. A value.
struct LayoutImage {
  ImageConfig config;
  std::string created;               // RFC 3339; also the time of the layer.
  std::vector<HistoryLine> history;  // The last one is of the layer.
  std::map<std::string, std::string> annotations;
};

// Makes `directory` (must not exist) a layout with one image of one layer. `layer`, a plain tar on
// the same file system, is moved into it. The same arguments make the same bytes.
Status WriteLayout(const std::filesystem::path& directory, const std::filesystem::path& layer,
                   const LayoutImage& image);

// Writes the layout's only image to `out_fd` (borrowed) as an OCI archive, under `name`. The same
// layout makes the same bytes. Reports the phase "write". kDataLoss: a blob is not there, or cut
// short. kNoSpace. kCancelled.
Status WriteOciArchive(const std::filesystem::path& layout, std::string_view name, int out_fd,
                       const ProgressFn& progress, Cancellation cancel);

}  // namespace pyro::image
