// The part of Store that makes room.

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/try.h"
#include "downloads/store.h"
#include "downloads/store_files.h"

namespace pyro::downloads {
namespace {

// Content without an entry may be about to get one.
constexpr std::chrono::hours kGetsItsEntry(1);
// Of URLs: many can have one content.
constexpr std::size_t kMostEntries = 200'000;

// Which content an entry has; empty: it is no entry.
std::string DigestOfEntry(const StoreFiles& files, const StoreFile& file) {
  const auto text = files.Read(file, kMaxEntryBytes);
  if (!text) return {};
  const auto entry = ParseEntry(*text);
  return entry ? entry->sha256 : std::string();
}

void RemoveFile(const StoreFiles& files, const StoreFile& file, PrunedDownloads& pruned) {
  if (pruned.dry ? !pruned.counted.insert(file.folder + "/" + file.name).second
                 : !files.Remove(file)) {
    return;
  }
  ++pruned.files;
  pruned.bytes += file.bytes;
}

void RemovePartials(const StoreFiles& files, PrunedDownloads& pruned) {
  for (const StoreFile& file : files.List("partial")) RemoveFile(files, file, pruned);
}

// What goes together: a content, and the entries that have it.
struct UsedContent {
  std::int64_t time_s = 0;  // Of its last use.
  std::uint64_t bytes = 0;  // Of all.
  std::vector<StoreFile> files;
  bool has_entry = false;
};

}  // namespace

Status Store::RemoveLeftovers() const {
  PYRO_ASSIGN_OR_RETURN(const StoreFiles files, StoreFiles::Open(options_.root));
  PYRO_ASSIGN_OR_RETURN(const auto alone,
                        files.TryLock("lock", sys::FileLock::Mode::kExclusive, true));
  PrunedDownloads ignored;
  if (alone) RemovePartials(files, ignored);
  return OkStatus();
}

std::uint64_t Store::BytesStored() const {
  std::uint64_t bytes = 0;
  const auto files = StoreFiles::Open(options_.root);
  if (!files) return 0;
  for (const StoreFile& file : files->List("content")) bytes += file.bytes;
  return bytes;
}

Result<PrunedDownloads> Store::Trim() {
  PrunedDownloads pruned;
  PYRO_RETURN_IF_ERROR(TrimInto(pruned, true));
  return pruned;
}

Result<PrunedDownloads> Store::Prune(bool all) {
  PrunedDownloads pruned;
  PYRO_RETURN_IF_ERROR(PruneInto(all, pruned));
  return pruned;
}

Status Store::MakeRoom(bool all, PrunedDownloads& pruned) {
  PYRO_RETURN_IF_ERROR(PruneInto(all, pruned));
  if (all) return OkStatus();
  const Status trimmed = TrimInto(pruned, false);
  // There is none yet.
  if (!trimmed && trimmed.error().code != ErrorCode::kNotFound) return trimmed;
  return OkStatus();
}

Status Store::TrimInto(PrunedDownloads& pruned, bool make_lock) {
  PYRO_ASSIGN_OR_RETURN(const StoreFiles files, StoreFiles::Open(options_.root));
  const auto alone = files.TryLock("trim", sys::FileLock::Mode::kExclusive, make_lock);
  if (!alone && (make_lock || alone.error().code != ErrorCode::kNotFound)) return alone.error();
  if (alone && !*alone) return OkStatus();
  if (!pruned.dry) added_ = 0;
  std::map<std::string, UsedContent> contents;
  std::uint64_t total = 0;
  for (StoreFile& file : files.List("content")) {
    total += file.bytes;
    UsedContent& content = contents[file.name];
    content.time_s = file.time_s;
    content.bytes = file.bytes;
    content.files.push_back(std::move(file));
  }
  std::vector<StoreFile> entries = files.List("index");
  for (const StoreFile& file : entries) total += file.bytes;
  std::size_t left = entries.size();
  if (total <= options_.max_bytes && left <= kMostEntries) return OkStatus();

  for (StoreFile& file : entries) {
    UsedContent& content = contents[DigestOfEntry(files, file)];
    // A content is as young as the youngest of its entries.
    content.time_s = content.has_entry ? std::max(content.time_s, file.time_s) : file.time_s;
    content.has_entry = true;
    content.bytes += file.bytes;
    content.files.insert(content.files.begin(), std::move(file));
  }
  const auto now_s =
      std::chrono::duration_cast<std::chrono::seconds>(options_.clock->Now().time_since_epoch());
  std::vector<std::pair<std::int64_t, const UsedContent*>> by_age;
  for (const auto& [digest, content] : contents) {
    const bool waits = content.time_s + std::chrono::seconds(kGetsItsEntry).count() > now_s.count();
    if (content.has_entry || !waits) by_age.emplace_back(content.time_s, &content);
  }
  std::ranges::sort(by_age);
  const std::uint64_t most_bytes = options_.max_bytes - options_.max_bytes / 10;
  for (const auto& [time_s, content] : by_age) {
    if (total <= most_bytes && left <= kMostEntries - kMostEntries / 10) break;
    // Entries come first: none is left without its content.
    for (const StoreFile& file : content->files) RemoveFile(files, file, pruned);
    total -= std::min(total, content->bytes);
    left -= std::min(left, content->files.size());
  }
  return OkStatus();
}

Status Store::PruneInto(bool all, PrunedDownloads& pruned) const {
  const auto files = StoreFiles::Open(options_.root);
  if (!files && files.error().code == ErrorCode::kNotFound) return OkStatus();
  if (!files) return files.error();
  // Root makes no file of its own here: the store's user could not use it.
  const auto lock = files->TryLock("lock", sys::FileLock::Mode::kExclusive, false);
  if (!lock && lock.error().code == ErrorCode::kNotFound) return OkStatus();
  if (!lock) return lock.error();
  const bool alone = lock->has_value();
  if (alone) RemovePartials(*files, pruned);
  std::set<std::string> there;
  const std::vector<StoreFile> contents = files->List("content");
  for (const StoreFile& file : contents) there.insert(file.name);
  std::set<std::string> used;
  for (const StoreFile& file : files->List("index")) {
    const std::string digest = all ? "" : DigestOfEntry(*files, file);
    if (digest.empty() || !there.contains(digest)) {
      RemoveFile(*files, file, pruned);
    } else {
      used.insert(digest);
    }
  }
  for (const StoreFile& file : contents) {
    // A download that runs gives a content its name first, and then writes the entry for it.
    if (!used.contains(file.name) && (all || alone)) RemoveFile(*files, file, pruned);
  }
  return OkStatus();
}

}  // namespace pyro::downloads
