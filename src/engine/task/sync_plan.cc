#include "engine/task/sync_plan.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "sys/wait_for.h"

namespace pyro::engine {
namespace {

using archive::Ignores;
using state::FileStamp;
using state::SyncedEntry;
using wire::TreeEntry;

constexpr std::int64_t kRecent = 2'000'000'000;  // Nanoseconds; a clock's tick is far shorter.

template <typename Tree>
auto FindIn(Tree& tree, const std::string& path) -> decltype(&tree.begin()->second) {
  const auto found = tree.find(path);
  return found == tree.end() ? nullptr : &found->second;
}

// In their order, each once.
std::vector<std::string> AllPaths(const SyncTrees& trees) {
  std::vector<std::string> paths;
  for (const auto& [path, entry] : trees.host) paths.push_back(path);
  for (const auto& [path, entry] : trees.guest) paths.push_back(path);
  for (const auto& [path, entry] : trees.base) paths.push_back(path);
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

FileStamp ExactStamp(const TreeEntry& entry) { return {entry.inode, entry.mtime, entry.ctime}; }

bool HasStamp(const FileStamp& stamp, const TreeEntry& entry) {
  return stamp.inode != 0 && stamp == ExactStamp(entry);
}

const char* KindOf(bool before, bool after) {
  return !before ? "added" : after ? "modified" : "removed";
}

class Planner {
 public:
  Planner(const SyncTrees& trees, const SyncPlanOptions& options)
      : trees_(trees), options_(options), push_(options.source == SyncSide::kHost) {}

  SyncPlan Run() {
    for (const std::string& path : AllPaths(trees_)) Decide(path);
    // A directory goes after what is in it, and before anything else comes.
    std::stable_partition(plan_.changes.begin(), plan_.changes.end(), [](const SyncChange& one) {
      return one.step.what == TreeStep::What::kRemove;
    });
    const auto adds = std::find_if(
        plan_.changes.begin(), plan_.changes.end(),
        [](const SyncChange& one) { return one.step.what != TreeStep::What::kRemove; });
    std::reverse(plan_.changes.begin(), adds);
    return std::move(plan_);
  }

 private:
  // Of one path. `source` and `target` are its entries on the two sides.
  struct Case {
    const std::string& path;
    const TreeEntry* host;
    const TreeEntry* guest;
    const SyncedEntry* base;
    const TreeEntry* source;
    const TreeEntry* target;
  };

  std::optional<std::uint64_t> HostDigest(const Case& one) const {
    if (one.base != nullptr && HasStamp(one.base->host, *one.host)) return one.base->digest;
    return options_.host_digest(one.path);
  }
  std::optional<std::uint64_t> GuestDigest(const Case& one) const {
    const auto told = options_.guest_digests.find(one.path);
    if (told != options_.guest_digests.end()) return told->second;
    if (one.base != nullptr && HasStamp(one.base->guest, *one.guest)) return one.base->digest;
    return std::nullopt;
  }
  std::optional<std::uint64_t> DigestOf(const Case& one, const TreeEntry* entry) const {
    return entry == one.host ? HostDigest(one) : GuestDigest(one);
  }

  bool Changed(const Case& one, const TreeEntry* entry) const {
    const SyncedEntry* const base = one.base;
    if (entry == nullptr || base == nullptr) return (entry == nullptr) != (base == nullptr);
    if (entry->type != base->type) return true;
    if (entry->type == 'l') return entry->target != base->target;
    if (entry->type != 'f') return false;  // The mode of a directory is for SetDirectory().
    return entry->size != base->size || entry->mode != base->mode ||
           DigestOf(one, entry) != base->digest;
  }

  bool Equal(const Case& one) const {
    if (one.host == nullptr || one.guest == nullptr) return one.host == one.guest;
    if (one.host->type != one.guest->type) return false;
    if (one.host->type == 'l') return one.host->target == one.guest->target;
    if (one.host->type != 'f') return one.host->type == 'd';
    if (one.host->size != one.guest->size || one.host->mode != one.guest->mode) return false;
    const auto digest = HostDigest(one);
    return digest && digest == GuestDigest(one);
  }

  void Decide(const std::string& path) {
    Case one = {path,
                FindIn(trees_.host, path),
                FindIn(trees_.guest, path),
                FindIn(trees_.base, path),
                nullptr,
                nullptr};
    one.source = push_ ? one.host : one.guest;
    one.target = push_ ? one.guest : one.host;
    // What is of another kind on one side and gone on the other: the old thing is gone on both, and
    // the new one is of one side alone. So a sync that was killed in such a change goes on.
    const TreeEntry* const only = one.host == nullptr ? one.guest : one.host;
    const bool on_one = (one.host == nullptr) != (one.guest == nullptr);
    if (on_one && one.base != nullptr && only->type != one.base->type) one.base = nullptr;
    if (one.source != nullptr && one.source->type == 'o') {
      plan_.left_out.push_back(path);
      return KeepBase(one);
    }
    const bool source_changed = Changed(one, one.source);
    const bool target_changed = Changed(one, one.target);
    if ((!source_changed && !target_changed) || Equal(one)) return KeepCommon(one);
    if (!target_changed) return Bring(one);
    if (source_changed) return Settle(one);
    // A change of the other side alone.
    if (options_.delete_unknown && one.source == nullptr && one.target->type != 'o') {
      return Bring(one);
    }
    KeepBase(one);
  }

  void Settle(const Case& one) {
    if (options_.prefer == options_.source) return Bring(one);
    if (!options_.prefer) {
      const bool known = one.base != nullptr;
      plan_.conflicts.push_back(
          {one.path, KindOf(known, one.host != nullptr), KindOf(known, one.guest != nullptr)});
    }
    KeepBase(one);
  }

  void KeepBase(const Case& one) {
    if (one.base != nullptr) plan_.kept.emplace(one.path, *one.base);
  }

  void KeepCommon(const Case& one) {
    if (one.source == nullptr) return;
    SyncedEntry entry;
    entry.type = one.source->type;
    entry.mode = one.source->mode;
    entry.size = one.source->size;
    entry.target = one.source->target;
    if (entry.type == 'd') return SetDirectory(one, std::move(entry));
    if (entry.type == 'f') entry.digest = DigestOf(one, one.source).value_or(0);
    const auto stamp = [&](const TreeEntry& of) {
      return StampOf(of.inode, of.mtime, of.ctime, options_.now);
    };
    entry.host = stamp(*one.host);
    entry.guest = stamp(*one.guest);
    plan_.kept.emplace(one.path, std::move(entry));
  }

  // It is on both sides. Its mode is no conflict: the source's goes over if that has changed.
  void SetDirectory(const Case& one, SyncedEntry entry) {
    const bool changed = one.base == nullptr || one.base->mode != one.source->mode;
    if (changed && one.source->mode != one.target->mode) return Bring(one);
    if (!changed) entry.mode = one.base->mode;
    plan_.kept.emplace(one.path, std::move(entry));
  }

  void Bring(const Case& one) {
    SyncChange change;
    const TreeEntry* const shown = one.source != nullptr ? one.source : one.target;
    change.told = {one.path, KindOf(one.target != nullptr, one.source != nullptr),
                   std::string(wire::TypeName(shown->type))};
    change.step.path = one.path;
    if (one.target != nullptr) {
      change.step.inode = one.target->inode;
      change.step.ctime = one.target->ctime;
    }
    if (one.source == nullptr) {
      change.step.what = TreeStep::What::kRemove;
    } else if (one.source->type == 'd') {
      change.step.what = TreeStep::What::kDirectory;
      change.step.mode = one.source->mode;
    } else {
      change.step.what = TreeStep::What::kPlace;
      change.size = one.source->type == 'f' ? one.source->size : 0;
      const bool file = one.source->type == 'f';
      if (file && !inodes_.insert(one.source->inode).second) plan_.linked.push_back(one.path);
    }
    plan_.changes.push_back(std::move(change));
  }

  const SyncTrees& trees_;
  const SyncPlanOptions& options_;
  const bool push_;
  std::unordered_set<std::int64_t> inodes_;
  SyncPlan plan_;
};

// What the rules say of a path that may be something else on each side.
Ignores::Answer AskAll(const std::vector<const Ignores*>& rules, const std::string& path,
                       const bool (&kinds)[2]) {
  auto answer = Ignores::Answer::kNo;
  for (const bool directory : {false, true}) {
    if (!kinds[directory ? 1 : 0]) continue;
    for (const Ignores* one : rules) {
      const auto said = one->Ask(path, directory);
      if (said == Ignores::Answer::kYes) return said;
      if (said == Ignores::Answer::kItself) answer = said;
    }
  }
  return answer;
}

}  // namespace

state::FileStamp StampOf(std::int64_t inode, std::int64_t mtime, std::int64_t ctime,
                         std::int64_t now) {
  if (ctime > now - kRecent) return {};
  return {inode, mtime, ctime};
}

void Normalise(wire::Tree& tree) {
  for (auto& [path, entry] : tree) {
    entry.mode = entry.type == 'l' ? 0 : entry.mode & 0777;
    if (entry.type != 'f') entry.size = 0;
  }
}

Status LeaveOut(const std::vector<const Ignores*>& rules, SyncTrees& trees, int cancel_fd) {
  std::unordered_set<std::string> out;
  for (const std::string& path : AllPaths(trees)) {
    if (sys::IsReady(cancel_fd)) return MakeError(ErrorCode::kCancelled, "cancelled");
    const std::size_t slash = path.rfind('/');
    const auto* const host = FindIn(trees.host, path);
    const auto* const guest = FindIn(trees.guest, path);
    const auto* const base = FindIn(trees.base, path);
    const auto is = [&](bool directory) {
      return (host != nullptr && (host->type == 'd') == directory) ||
             (guest != nullptr && (guest->type == 'd') == directory) ||
             (base != nullptr && (base->type == 'd') == directory);
    };
    auto answer = Ignores::Answer::kYes;
    if (slash == path.npos || !out.contains(path.substr(0, slash))) {
      answer = AskAll(rules, path, {is(false), is(true)});
    }
    if (answer == Ignores::Answer::kNo) continue;
    if (answer == Ignores::Answer::kYes) out.insert(path);
    trees.host.erase(path);
    trees.guest.erase(path);
    trees.base.erase(path);
  }
  for (const Ignores* one : rules) {
    if (!one->is_exhausted()) continue;
    return MakeError(ErrorCode::kLimit, "the ignore rules take too long for so many files",
                     "make them simpler, or leave them out with no_ignore");
  }
  return OkStatus();
}

std::vector<std::string> WantedDigests(const SyncTrees& trees) {
  std::vector<std::string> wanted;
  for (const auto& [path, guest] : trees.guest) {
    if (guest.type != 'f') continue;
    const auto* const base = FindIn(trees.base, path);
    if (base != nullptr && HasStamp(base->guest, guest)) continue;
    const auto* const host = FindIn(trees.host, path);
    const bool like_base = base != nullptr && base->type == 'f' && base->size == guest.size;
    const bool like_host = host != nullptr && host->type == 'f' && host->size == guest.size;
    if (like_base || like_host) wanted.push_back(path);
  }
  return wanted;
}

SyncPlan MakeSyncPlan(const SyncTrees& trees, const SyncPlanOptions& options) {
  return Planner(trees, options).Run();
}

}  // namespace pyro::engine
