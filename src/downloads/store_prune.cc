// The part of Store that makes room.

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/try.h"
#include "downloads/store.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::downloads {
namespace {

namespace fs = std::filesystem;

// Content without an entry may be about to get one.
constexpr std::chrono::hours kGetsItsEntry(1);

struct FoundFile {
  fs::path path;
  std::int64_t time_s = 0;
  std::uint64_t bytes = 0;  // As the disk counts it.
};

// Files two folders below `root`. What cannot be read is left out.
std::vector<FoundFile> FilesOf(const fs::path& root) {
  std::vector<FoundFile> files;
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(root, error)) {
    std::error_code inner;
    for (const auto& entry : fs::directory_iterator(folder.path(), inner)) {
      struct stat info {};
      if (::lstat(entry.path().c_str(), &info) != 0) continue;
      files.push_back({.path = entry.path(),
                       .time_s = info.st_mtim.tv_sec,
                       .bytes = static_cast<std::uint64_t>(info.st_blocks) * 512});
    }
  }
  return files;
}

// Which content an entry has; empty: it is no entry.
std::string DigestOfEntry(const fs::path& file) {
  const auto text = sys::ReadFile(file, kMaxEntryBytes);
  if (!text) return {};
  const auto entry = ParseEntry(*text);
  return entry ? entry->sha256 : std::string();
}

void RemoveFile(const FoundFile& file, PrunedDownloads& pruned) {
  std::error_code error;
  if (fs::remove_all(file.path, error) == 0 || error) return;
  ++pruned.files;
  pruned.bytes += file.bytes;
}

}  // namespace

void Store::RemoveLeftovers(PrunedDownloads& pruned) const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.root / "partial", error)) {
    RemoveFile({.path = entry.path(), .time_s = 0, .bytes = sys::DiskUsage(entry.path())}, pruned);
  }
}

std::uint64_t Store::BytesStored() const {
  std::uint64_t bytes = 0;
  for (const FoundFile& file : FilesOf(options_.root / "content")) bytes += file.bytes;
  return bytes;
}

Result<PrunedDownloads> Store::Trim() {
  PrunedDownloads pruned;
  PYRO_ASSIGN_OR_RETURN(const auto alone, sys::FileLock::TryAcquire(options_.root / "trim"));
  if (!alone) return pruned;
  added_ = 0;
  std::map<std::string, FoundFile> contents;
  std::uint64_t total = 0;
  for (FoundFile& file : FilesOf(options_.root / "content")) {
    total += file.bytes;
    contents[file.path.filename().native()] = std::move(file);
  }
  if (total <= options_.max_bytes) return pruned;

  // A content is as young as the youngest of its entries.
  std::map<std::string, std::pair<std::int64_t, std::vector<FoundFile>>> uses;
  for (FoundFile& file : FilesOf(options_.root / "index")) {
    auto& [time_s, entries] = uses[DigestOfEntry(file.path)];
    time_s = std::max(time_s, file.time_s);
    entries.push_back(std::move(file));
  }
  const auto now_s =
      std::chrono::duration_cast<std::chrono::seconds>(options_.clock->Now().time_since_epoch());
  std::vector<std::pair<std::int64_t, std::string>> by_age;
  for (const auto& [digest, file] : contents) {
    const auto use = uses.find(digest);
    if (use != uses.end()) {
      by_age.emplace_back(use->second.first, digest);
    } else if (file.time_s + std::chrono::seconds(kGetsItsEntry).count() < now_s.count()) {
      by_age.emplace_back(0, digest);
    }
  }
  std::ranges::sort(by_age);
  const std::uint64_t target = options_.max_bytes - options_.max_bytes / 10;
  for (const auto& [time_s, digest] : by_age) {
    if (total <= target) break;
    for (const FoundFile& entry : uses[digest].second) RemoveFile(entry, pruned);
    RemoveFile(contents[digest], pruned);
    total -= std::min(total, contents[digest].bytes);
  }
  return pruned;
}

Result<PrunedDownloads> Store::Prune(bool all) {
  PrunedDownloads pruned;
  std::error_code error;
  // Root makes no file of its own here: the store's user could not use it.
  if (!fs::exists(options_.root / "lock", error)) return pruned;
  PYRO_ASSIGN_OR_RETURN(const auto alone, sys::FileLock::TryAcquire(options_.root / "lock"));
  if (alone) RemoveLeftovers(pruned);
  std::set<std::string> used;
  for (const FoundFile& file : FilesOf(options_.root / "index")) {
    const std::string digest = all ? "" : DigestOfEntry(file.path);
    if (digest.empty() || ::access(PathOfContent(digest).c_str(), F_OK) != 0) {
      RemoveFile(file, pruned);
    } else {
      used.insert(digest);
    }
  }
  for (const FoundFile& file : FilesOf(options_.root / "content")) {
    // A download that ends now may have named its content and not yet its entry.
    if (!used.contains(file.path.filename().native()) && (all || alone)) RemoveFile(file, pruned);
  }
  return pruned;
}

}  // namespace pyro::downloads
