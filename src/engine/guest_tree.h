// The root file system of a guest as the layer of an image.

#pragma once

#include <string>
#include <vector>

#include "archive/layer.h"
#include "base/time.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"
#include "wire/files.h"

namespace pyro::engine {

struct TreeWish {
  bool workspace = false;  // With the content of /workspace.
  bool network = false;    // The guest has had a network, so that pyro wrote /etc/resolv.conf.
  WallTime stamp{};        // The time of what pyro itself has changed in the guest.
};

// What an image has that the guest has not, and the other way round: without what each guest gets
// by itself, and with the files that pyro writes there as an image should have them.
archive::LayerRules RulesOf(const TreeWish& wish);

// Adds a line for what the guest left out. kGuestUnavailable: it read files that changed. That is a
// fault on a disk of its own.
Status AddNote(const wire::FileNote& note, std::vector<std::string>& left_out);

// Has the guest send its root, and writes the plain tar of a layer to `layer_fd` (borrowed).
// Returns what it lacks, one line each, for people. Reports the phase "read". kGuestUnavailable:
// the guest could not read or send it. Otherwise the errors of CopyLayer: the guest is hostile.
Result<std::vector<std::string>> ReadTree(SupervisorLink& link, const TreeWish& wish, int layer_fd,
                                          const CallIo& io);

}  // namespace pyro::engine
