// Downloads on disk, each content once, named by its SHA-256:
//
//   CACHE/downloads/content/ab/abcd…  what was downloaded
//   CACHE/downloads/index/12/1234….   an Entry: the URL, and which content it has
//   CACHE/downloads/partial/*         of a download under way while `lock` is held shared,
//                                     leftovers otherwise
//   CACHE/downloads/fetching          one locked byte for each URL that is being fetched
//
// A file appears under its name when it is whole. Nothing is synced: content is hashed before each
// use, so damage by a power cut is found as any other is.

#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/time.h"
#include "downloads/entry.h"
#include "downloads/sha256.h"
#include "pyro/result.h"
#include "sys/file_lock.h"
#include "sys/unique_fd.h"

namespace pyro::downloads {

// Of the jails of programs that use the store: with root as the caller, it belongs to their user.
inline constexpr std::string_view kJailIdentity = "downloads";

// What went wrong, or was refused, without an error of the call.
struct Report {
  enum class Kind {
    kDamaged,  // What was stored has been changed: it was refused and removed.
    kAway,     // The source cannot be asked.
    kDisk,     // Nothing can be read or kept.
    kRefused,  // What a source sent is not kept: it is not what its URL promises.
  } kind = Kind::kDamaged;
  std::string url;
  std::string line;  // For people.
};
// From any thread.
using ReportFn = std::function<void(const Report& report)>;

struct StoreOptions {
  std::filesystem::path root;                           // CACHE/downloads; it need not exist.
  std::uint64_t max_bytes = 8ULL * 1024 * 1024 * 1024;  // Of all content.
  const Clock* clock = &SystemClock();                  // Borrowed, for the life of the store.
  ReportFn report = [](const Report&) {};
};

// What was found: the content is open for reading and has been hashed.
struct StoredDownload {
  Entry entry;
  sys::UniqueFd content;
};

struct PrunedDownloads {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // That the disk has got back.

  // Nothing was removed: what would have been counts, each file once.
  bool dry = false;
  std::set<std::string> counted = {};
};

// The right to fetch one URL; it ends with the object, or with the process.
class FetchLock {
 public:
  explicit FetchLock(sys::UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  sys::UniqueFd fd_;  // Its lock belongs to this open file alone.
};

class Store;

// Content on its way into the store. One thread. Destroyed without Commit(), it leaves nothing.
class NewContent {
 public:
  NewContent(NewContent&&) noexcept = default;
  NewContent& operator=(NewContent&&) = delete;
  ~NewContent();

  // kLimit: more than the store keeps. An error of the disk. After either it is of no use.
  Status Append(std::string_view bytes);

  std::uint64_t size() const { return size_; }
  // Of all that was appended; nothing may be appended any more.
  const std::string& Digest();

  // `entry` has all but sha256 and size. The content and then its entry appear in the store. Where
  // the store has become too large, it makes room: Store::Trim().
  Result<StoredDownload> Commit(Entry entry);

 private:
  friend class Store;
  NewContent(Store& store, sys::FileLock lock, std::filesystem::path path, sys::UniqueFd fd)
      : store_(&store), lock_(std::move(lock)), path_(std::move(path)), fd_(std::move(fd)) {}

  Store* store_;
  sys::FileLock lock_;
  std::filesystem::path path_;
  sys::UniqueFd fd_;
  Sha256 hash_;
  std::string digest_;
  std::uint64_t size_ = 0;
};

// Thread-safe, and safe for many processes at once.
class Store {
 public:
  explicit Store(StoreOptions options);

  // Makes the directories and removes what killed downloads left, if none is under way.
  Status Prepare();

  // The content has been hashed, or if it has 1 MiB and more, its file has not changed since this
  // store hashed it. nullopt: it is not there. An entry or a content that was changed, cut or
  // damaged is removed and reported, and is not there then. Notes the use.
  Result<std::optional<StoredDownload>> Find(const EntryKey& key);

  // The source has said that the content is still so.
  Status Renew(const Entry& entry);

  // The source has it no more. The content stays while another entry may have it.
  void Forget(const EntryKey& key);

  // Waits. nullopt: at the deadline another process or thread still fetches this URL.
  Result<std::optional<FetchLock>> LockFetch(const EntryKey& key, Deadline deadline);

  Result<NewContent> NewDownload();

  // If the contents have more bytes than allowed: removes those least recently used until a tenth
  // is free. Returns at once if another process does so.
  Result<PrunedDownloads> Trim();

  // Removes leftovers and content without an entry; with `all`, everything. Readers keep what they
  // have open.
  Result<PrunedDownloads> Prune(bool all);

  // Prune(all), and Trim() too unless `all`. Adds to `pruned`, which may be dry.
  Status MakeRoom(bool all, PrunedDownloads& pruned);

  // Of the content, as the disk counts it.
  std::uint64_t BytesStored() const;

  const StoreOptions& options() const { return options_; }

 private:
  friend class NewContent;

  // `make_lock`: as the store's own user; without its file, no process of the store trims.
  Status TrimInto(PrunedDownloads& pruned, bool make_lock);
  Status PruneInto(bool all, PrunedDownloads& pruned) const;

  std::filesystem::path PathOfContent(std::string_view sha256) const;
  std::filesystem::path PathOfEntry(const EntryKey& key) const;
  Status WriteEntry(const Entry& entry);
  void RemoveDamaged(const Entry& entry, std::string_view what);
  Status RemoveLeftovers() const;
  bool IsWhole(const Entry& entry, int content);

  const StoreOptions options_;
  std::atomic<std::uint64_t> added_;  // Since the last Trim().
  std::mutex mutex_;
  std::map<std::string, std::string> hashed_;  // Large contents: the state of the file, by digest.
};

}  // namespace pyro::downloads
