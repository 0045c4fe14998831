// The agent's program for trees, for one directory of one guest.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/tree_step.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/result.h"
#include "wire/trees.h"

namespace pyro::engine {

// Belongs to one thread. The guest is hostile: what it tells is checked. kGuestUnavailable: it
// could not do it. kLimit: it tells too much.
class TreeReader {
 public:
  // `link` is borrowed.
  TreeReader(SupervisorLink& link, std::string directory, int cancel_fd)
      : link_(link), directory_(std::move(directory)), cancel_fd_(cancel_fd) {}

  // Of a directory that is not there: nothing.
  Result<wire::Tree> List();
  // Of up to 32 MiB together.
  Result<std::vector<std::optional<std::string>>> Contents(const std::vector<std::string>& names);
  Result<std::vector<std::optional<std::uint64_t>>> Digests(const std::vector<std::string>& names);
  // `stage`: the name of a directory in the directory, which is gone afterwards.
  Result<std::vector<RefusedStep>> Apply(const std::string& stage,
                                         const std::vector<TreeStep>& steps);

 private:
  enum class Sync { kNo, kYes };
  Result<std::string> Run(std::vector<std::string> words, std::string_view input, std::size_t most,
                          Sync sync = Sync::kNo);

  SupervisorLink& link_;
  const std::string directory_;
  int cancel_fd_;
};

}  // namespace pyro::engine
