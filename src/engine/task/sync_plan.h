// What a sync has to do: the two trees against what they had in common after the last sync. Nothing
// here reads a file or asks a guest.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/ignore.h"
#include "base/tree_step.h"
#include "pyro/result.h"
#include "pyro/types.h"
#include "state/sync/sync_states.h"
#include "wire/trees.h"

namespace pyro::engine {

struct SyncTrees {
  wire::Tree host;
  wire::Tree guest;
  state::SyncedTree base;
  bool first = false;  // There is no base: the two have not been synced yet.
};

// Modes become permissions alone, and sizes those of files.
void Normalise(wire::Tree& tree);

// Takes what any of the rules ignores out of all three trees, with what is below it. kLimit: the
// rules take too long. kCancelled: the descriptor, which may be -1, is readable.
Status LeaveOut(const std::vector<const archive::Ignores*>& rules, SyncTrees& trees, int cancel_fd);

// The files of the guest whose digests MakeSyncPlan() will ask for.
std::vector<std::string> WantedDigests(const SyncTrees& trees);

struct SyncPlanOptions {
  SyncSide source = SyncSide::kHost;  // From which changes go to the other side.
  std::optional<SyncSide> prefer;     // Which side is right where both have changed.
  bool delete_unknown = false;        // What the source has not goes, even if no sync brought it.
  std::int64_t now = 0;               // Nanoseconds; from before the trees were listed.
  // Digests of files; nullopt: the file cannot be read any more.
  std::function<std::optional<std::uint64_t>(const std::string&)> host_digest;
  std::map<std::string, std::optional<std::uint64_t>> guest_digests;
};

struct SyncChange {
  TaskSyncChange told;
  TreeStep step;          // For the side that is no source.
  std::int64_t size = 0;  // Of a file that is brought.
};

struct SyncPlan {
  // In the order in which they can be carried out.
  std::vector<SyncChange> changes;
  std::vector<TaskSyncConflict> conflicts;
  // What the two have in common already, and what is left as it was.
  state::SyncedTree kept;
  std::vector<std::string> left_out;  // Of the source: neither files nor directories nor links.
  std::vector<std::string> linked;    // Further names of files that are brought.
};
SyncPlan MakeSyncPlan(const SyncTrees& trees, const SyncPlanOptions& options);

// Unset if the file changed so shortly before `now` that a later change may not show.
state::FileStamp StampOf(std::int64_t inode, std::int64_t mtime, std::int64_t ctime,
                         std::int64_t now);

}  // namespace pyro::engine
