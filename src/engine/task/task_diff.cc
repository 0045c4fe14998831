#include "engine/task/task_diff.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/instance/reader_guest.h"
#include "engine/task/disk_copy.h"
#include "engine/task/file_call.h"
#include "engine/task/text_diff.h"
#include "engine/task/tree_reader.h"
#include "state/instance/instance_directory.h"
#include "state/snapshot/snapshots.h"
#include "sys/failpoint.h"
#include "sys/wait_for.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using wire::Tree;
using wire::TreeEntry;

constexpr const char* kWorkspaceRoot = "/workspace";
// Of the guest that reads a snapshot.
constexpr std::int64_t kReaderMib = 512;
constexpr std::int64_t kMaxShownSize = 256 << 10;  // Bytes of a file whose text is told.
constexpr std::size_t kMaxShownBytes = 16 << 20;   // Of all texts that are compared.
// Pairs of lines in all texts: some seconds.
constexpr std::uint64_t kMaxDiffWork = 160'000'000;

std::string ModeText(const TreeEntry& entry) { return fmt::format("{:04o}", entry.mode); }

void SetSide(const TreeEntry& entry, std::string& type, std::string& mode, std::uint64_t& size) {
  type = wire::TypeName(entry.type);
  mode = ModeText(entry);
  size = entry.type == 'd' ? 0 : static_cast<std::uint64_t>(entry.size);
}

TaskChange MakeChange(const std::string& path, const TreeEntry* before, const TreeEntry* after) {
  TaskChange change;
  change.path = path;
  change.kind = before == nullptr ? "added" : after == nullptr ? "removed" : "modified";
  if (before != nullptr) SetSide(*before, change.old_type, change.old_mode, change.old_size);
  if (after != nullptr) SetSide(*after, change.type, change.mode, change.size);
  return change;
}

// Of two that are not the same file by inode and times.
bool Differ(const TreeEntry& before, const TreeEntry& after, bool& unsure) {
  unsure = false;
  if (before.type != after.type) return true;
  if (before.type == 'l') return before.target != after.target;
  if (before.mode != after.mode) return true;
  if (before.type != 'f') return false;
  if (before.size != after.size) return true;
  unsure = true;
  return true;
}

bool IsBelowAny(std::string_view path, const std::vector<std::string>& paths) {
  return paths.empty() || std::any_of(paths.begin(), paths.end(), [&](const std::string& one) {
           return path.starts_with(one) && (path.size() == one.size() || path[one.size()] == '/');
         });
}

void KeepBelow(Tree& tree, const std::vector<std::string>& paths) {
  std::erase_if(tree, [&](const auto& entry) { return !IsBelowAny(entry.first, paths); });
}

// Leaves out the changes of files whose content is the same.
Status Settle(TreeChanges& found, TreeReader& before, TreeReader& after) {
  PYRO_ASSIGN_OR_RETURN(const auto old_digests, before.Digests(found.unsure));
  PYRO_ASSIGN_OR_RETURN(const auto new_digests, after.Digests(found.unsure));
  std::vector<std::string> same;  // In order.
  for (std::size_t i = 0; i < found.unsure.size(); ++i) {
    if (old_digests[i] && old_digests[i] == new_digests[i]) same.push_back(found.unsure[i]);
  }
  std::erase_if(found.changes, [&](const TaskChange& change) {
    return change.mode == change.old_mode && change.type == change.old_type &&
           std::binary_search(same.begin(), same.end(), change.path);
  });
  return OkStatus();
}

// What a change has on one side; a symbolic link's target counts as a text, as for git.
struct Side {
  const Tree& tree;
  TreeReader& reader;
  std::map<std::string, std::string> contents;

  const TreeEntry* Find(const std::string& path) const {
    const auto entry = tree.find(path);
    return entry == tree.end() ? nullptr : &entry->second;
  }
  bool IsFile(const std::string& path) const {
    const TreeEntry* const entry = Find(path);
    return entry != nullptr && entry->type == 'f';
  }
  std::size_t SizeOf(const std::string& path) const {
    return IsFile(path) ? static_cast<std::size_t>(Find(path)->size) : 0;
  }
  Status Fetch(const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths) {
      if (IsFile(path)) files.push_back(path);
    }
    PYRO_ASSIGN_OR_RETURN(auto all, reader.Contents(files));
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (all[i]) contents.emplace(files[i], std::move(*all[i]));
    }
    return OkStatus();
  }
  // nullopt: it has none, or could not be read.
  std::optional<std::string_view> ContentOf(const std::string& path) const {
    const TreeEntry* const entry = Find(path);
    if (entry != nullptr && entry->type == 'l') return entry->target;
    const auto content = contents.find(path);
    if (content == contents.end()) return std::nullopt;
    return content->second;
  }
};

// As git has it.
std::string GitMode(const std::string& type, const std::string& mode) {
  if (type == "symlink") return "120000";
  return mode.size() == 4 && ((mode[1] - '0') & 1) != 0 ? "100755" : "100644";
}

bool HasText(const std::string& type) { return type == "file" || type == "symlink"; }

// One side of a change as a patch of its own: git replaces a file by a link in two steps.
std::string Patch(const TaskChange& change, std::string_view before, std::string_view after,
                  std::uint64_t& work) {
  const bool was = HasText(change.old_type);
  const bool is = HasText(change.type);
  const std::string a = QuotedPath("a/", change.path);
  const std::string b = QuotedPath("b/", change.path);
  const std::string old_mode = GitMode(change.old_type, change.old_mode);
  const std::string new_mode = GitMode(change.type, change.mode);
  std::string text = fmt::format("diff --git {} {}\n", a, b);
  if (!was) text += fmt::format("new file mode {}\n", new_mode);
  if (!is) text += fmt::format("deleted file mode {}\n", old_mode);
  if (was && is && old_mode != new_mode) {
    text += fmt::format("old mode {}\nnew mode {}\n", old_mode, new_mode);
  }
  if (change.shown == "binary") {
    return text + fmt::format("Binary files {} and {} differ\n", was ? a : "/dev/null",
                              is ? b : "/dev/null");
  }
  const std::string hunks = UnifiedHunks(before, after, &work);
  if (hunks.empty()) return text;
  // As git ends names with a space, for programs that would look for a time behind it.
  const char* const end = change.path.find(' ') == std::string::npos ? "" : "\t";
  return text +
         fmt::format("--- {}\n+++ {}\n", was ? a + end : "/dev/null", is ? b + end : "/dev/null") +
         hunks;
}

void SetText(TaskChange& change, const Side& before, const Side& after, std::uint64_t& work) {
  const auto was = HasText(change.old_type) ? before.ContentOf(change.path) : "";
  const auto is = HasText(change.type) ? after.ContentOf(change.path) : "";
  if (!was || !is) {
    change.shown = "unreadable";
    return;
  }
  change.shown = IsBinary(*was) || IsBinary(*is) ? "binary" : "text";
  if (HasText(change.old_type) && HasText(change.type) && change.type != change.old_type) {
    TaskChange removed = change;
    removed.type.clear();
    TaskChange added = change;
    added.old_type.clear();
    change.text = Patch(removed, *was, "", work) + Patch(added, "", *is, work);
  } else {
    change.text = Patch(change, *was, *is, work);
  }
}

// Within the bounds, in the order of the paths.
Status AddTexts(std::vector<TaskChange>& changes, Side before, Side after, int cancel_fd) {
  std::size_t room = kMaxShownBytes;
  std::vector<std::string> shown;
  for (TaskChange& change : changes) {
    if (!HasText(change.old_type) && !HasText(change.type)) continue;
    const std::size_t sizes[] = {before.SizeOf(change.path), after.SizeOf(change.path)};
    const std::size_t both = sizes[0] + sizes[1];
    if (std::max(sizes[0], sizes[1]) > kMaxShownSize || both > room) {
      change.shown = "too_large";
      continue;
    }
    room -= both;
    shown.push_back(change.path);
  }
  PYRO_RETURN_IF_ERROR(before.Fetch(shown));
  PYRO_RETURN_IF_ERROR(after.Fetch(shown));
  std::uint64_t work = kMaxDiffWork;
  auto next = shown.begin();
  for (TaskChange& change : changes) {
    if (next == shown.end() || change.path != *next) continue;
    ++next;
    if (sys::IsReady(cancel_fd)) return MakeError(ErrorCode::kCancelled, "cancelled");
    SetText(change, before, after, work);
  }
  return OkStatus();
}

Result<TaskDiff> DiffTrees(TreeReader& before, TreeReader& after,
                           const std::vector<std::string>& paths, int cancel_fd) {
  // Both at once.
  std::optional<Result<Tree>> old_tree;
  std::thread reader([&] { old_tree.emplace(before.List()); });
  auto new_tree = after.List();
  reader.join();
  if (!*old_tree) return old_tree->error();
  if (!new_tree) return new_tree.error();
  for (const std::string& path : paths) {
    if ((*old_tree)->contains(path) || new_tree->contains(path)) continue;
    Error missing = FileCallError(ENOENT, fmt::format("{}/{}", kWorkspaceRoot, path));
    missing.message =
        fmt::format("neither the task nor its snapshot has '{}'", Printable(missing.path));
    missing.hint = "paths begin at /workspace; a snapshot is named by --snapshot";
    return missing;
  }
  KeepBelow(**old_tree, paths);
  KeepBelow(*new_tree, paths);
  TreeChanges found = CompareTrees(**old_tree, *new_tree);
  PYRO_RETURN_IF_ERROR(Settle(found, before, after));
  PYRO_RETURN_IF_ERROR(
      AddTexts(found.changes, {**old_tree, before, {}}, {*new_tree, after, {}}, cancel_fd));
  TaskDiff diff;
  for (const TaskChange& change : found.changes) {
    ++(change.kind == "added"     ? diff.added
       : change.kind == "removed" ? diff.removed
                                  : diff.modified);
  }
  diff.changes = std::move(found.changes);
  return diff;
}

}  // namespace

TreeChanges CompareTrees(const Tree& before, const Tree& after) {
  TreeChanges found;
  auto was = before.begin();
  auto is = after.begin();
  while (was != before.end() || is != after.end()) {
    if (is == after.end() || (was != before.end() && was->first < is->first)) {
      found.changes.push_back(MakeChange(was->first, &was->second, nullptr));
      ++was;
      continue;
    }
    if (was == before.end() || is->first < was->first) {
      found.changes.push_back(MakeChange(is->first, nullptr, &is->second));
      ++is;
      continue;
    }
    const TreeEntry& a = was->second;
    const TreeEntry& b = is->second;
    const bool same = a.inode == b.inode && a.ctime == b.ctime && a.mtime == b.mtime &&
                      a.size == b.size && a.mode == b.mode && a.type == b.type;
    bool unsure = false;
    if (!same && Differ(a, b, unsure)) {
      found.changes.push_back(MakeChange(was->first, &a, &b));
      if (unsure || (a.type == 'f' && b.type == 'f' && a.size == b.size)) {
        found.unsure.push_back(was->first);
      }
    }
    ++was;
    ++is;
  }
  return found;
}

Result<std::vector<std::string>> PathsBelowWorkspace(const std::vector<std::string>& paths) {
  std::vector<std::string> below;
  for (const std::string& path : paths) {
    const fs::path whole = (fs::path(kWorkspaceRoot) / path).lexically_normal();
    std::string text = whole.lexically_relative(kWorkspaceRoot).native();
    while (text.ends_with('/')) text.pop_back();
    if (path.empty() || text == ".." || text.starts_with("../")) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("'{}' is not below /workspace", Printable(path)),
                       "a snapshot is compared there alone");
    }
    if (text == ".") return std::vector<std::string>();
    below.push_back(std::move(text));
  }
  return below;
}

Result<TaskDiff> DiffGuest(const Context& context, const state::InstanceRecord& task,
                           SupervisorLink& link, const DiffTaskRequest& request, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> paths, PathsBelowWorkspace(request.paths));
  const fs::path directory = state::InstanceDirectory(context.state, task.id);
  if (io.on_progress) io.on_progress("start", "", -1);
  ReaderWish wish = {.environment = task.environment,
                     .digest = task.environment_digest,
                     .machine = task.machine,
                     .mem_mib = kReaderMib,
                     .fill = {}};
  wish.fill = [&](const fs::path& disk) {
    return CopyDisk({.from = state::SnapshotImage(directory, request.snapshot), .to = disk}, io);
  };
  PYRO_ASSIGN_OR_RETURN(ReaderGuest guest, ReaderGuest::Start(context, wish, io));
  if (io.on_progress) io.on_progress("compare", "", -1);
  TreeReader before(guest.link(), kWorkspaceRoot, io.cancel_fd);
  TreeReader after(link, kWorkspaceRoot, io.cancel_fd);
  auto diff = DiffTrees(before, after, paths, io.cancel_fd);
  PYRO_FAILPOINT("task.diff.compared");
  guest.Remove();
  if (!diff) return diff;
  diff->task_id = task.id.str();
  diff->snapshot = request.snapshot;
  return diff;
}

}  // namespace pyro::engine
