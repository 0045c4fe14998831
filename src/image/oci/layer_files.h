// The tar of a layer: read for the names that it has, and written for the marks of a disk.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "archive/tar.h"
#include "image/oci/fetch.h"
#include "image/oci/layer_plan.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

// The decompressed bytes of the layer `blob`, which may be compressed as a tar of
// archive/formats.h. Errors of what it reads are as archive::Decompress has them. kCancelled.
Result<std::unique_ptr<archive::Source>> OpenLayer(const std::filesystem::path& blob,
                                                   Cancellation cancel);

// The file of layer `number`, from 0, in the layout.
std::filesystem::path LayerBlob(const FetchedImage& image, std::size_t number);

// Gets each entry, with its attributes.
using EntryFn = std::function<void(const archive::Entry&)>;

// A value.
struct PlainTar {
  std::uint64_t bytes = 0;
  std::string sha256;        // 64 digits.
  bool has_globals = false;  // It has global headers of pax, which tools treat differently.
};

// Decompresses the layer `blob` into the new file `plain`, and calls `on_entry` for each entry, if
// there is one. kDataLoss: it is no whole tar, or has attributes that an overlay would take for its
// own. kCancelled, kNoSpace.
Result<PlainTar> DecompressLayer(const std::filesystem::path& blob,
                                 const std::filesystem::path& plain, const EntryFn& on_entry,
                                 Cancellation cancel);

// A tar for GNU tar that puts `marks` into the unpacked tree of a group: whiteouts as overlayfs has
// them, and the directories about them with their owners, modes and times. `plain_layers`
// are the tars of the group, the lowest first. Errors as DecompressLayer.
Status WriteMarks(const std::filesystem::path& file, const LayerMarks& marks,
                  const std::vector<std::filesystem::path>& plain_layers, Cancellation cancel);

}  // namespace pyro::image
