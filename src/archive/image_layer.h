// The layer of an OCI image on its way to a guest, which applies it: in the one form of tar that
// the guest's agent reads. Its maker may have chosen another one.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "archive/operation.h"
#include "archive/tar.h"
#include "pyro/result.h"

namespace pyro::archive {

struct ImageLayer {
  std::uint64_t bytes = 0;            // Of the tar, decompressed.
  std::uint64_t entries = 0;          // Each takes an inode at most.
  std::uint64_t content_bytes = 0;    // What its files and directories take in blocks of 4 KiB.
  std::vector<std::string> left_out;  // One line each, for people: printable, and bounded.
};

// Reads the tar of a layer, which is not compressed, to its end. Writes it to `out_fd` (borrowed),
// entry by entry: owners, modes, times to the nanosecond, holes, extended attributes, links,
// devices and whiteouts. -1: only counts. Names become those below the image's root: "/a", "../a"
// and "./a" are "a". Left out and told is what an overlay would take for its own: attributes
// trusted.overlay.*, and the device 0:0.
//
// kDataLoss: no tar, cut off, or an entry without a usable name. kLimit: more than kMaxEntries.
// kCancelled. Memory stays bounded for any stream. Thread-safe.
Result<ImageLayer> CopyImageLayer(Source& plain, int out_fd, const Operation& operation = {});

}  // namespace pyro::archive
