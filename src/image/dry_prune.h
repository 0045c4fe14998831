// A prune that removes nothing and counts what it would free.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

namespace pyro::image {

// How many of its names a file would lose: only with the last one its blocks are free.
struct DryPrune {
  std::map<ino_t, std::uint64_t> names_gone;
};

}  // namespace pyro::image
