// Templates: frozen guests on disk, from which new guests start.
//
//   templates/<name>/           manifest.json, memory, state and perhaps disk: complete, and never
//                               changed
//   templates/<name>.lock       held by the process that makes or removes that one
//   templates/.making-<name>/   being made while the lock is held, a leftover otherwise
//
// The name is a digest of the key: all inputs of a template, as text. A template only saves time:
// if one is damaged, the guest boots without it.

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"
#include "sys/file_lock.h"
#include "sys/unique_fd.h"
#include "vmm/vmm.h"

namespace pyro::vmm {

inline constexpr std::int64_t kMaxTemplateKey = 16 * 1024;

// The fields of a template's manifest, except the key.
struct TemplateFacts {
  std::string environment;         // debian:12
  std::string environment_digest;  // Of the version that it was booted from.
  int vcpu_count = 1;
  int mem_mib = 1024;
  bool network = false;
  bool new_disk = false;             // For guests whose data disk is new: it is mounted already.
  std::int64_t data_disk_bytes = 0;  // Of the guest that was frozen.
  std::string made_at;               // RFC 3339.
};

struct TemplateSummary {
  std::filesystem::path directory;
  TemplateFacts facts;
  std::uint64_t bytes = 0;     // Taken on disk.
  std::int64_t last_used = 0;  // Seconds since the epoch.
  bool broken = false;         // Then the fields above are empty.
  std::string key;             // Empty if the manifest cannot be read.
};

// Opens a template for one guest. It reads and compares the small parts: key, sizes, the state's
// checksum. Memory and disk are too large for that: it compares their inode, size and time of
// change with those of the file that was written. kNotFound: there is none. kDataLoss: it is
// damaged, or does not match its name.
Result<FrozenGuest> OpenTemplate(const std::filesystem::path& directory, std::string_view key);

// A template being made. Destroying it uncommitted removes its files.
class TemplateDraft {
 public:
  // nullopt: the template exists, or another process is making it. Removes the leftovers of a
  // killed maker of the same one. kNoSpace: less is free than `need_bytes`.
  static Result<std::optional<TemplateDraft>> Begin(const std::filesystem::path& directory,
                                                    std::string key, std::uint64_t need_bytes);

  TemplateDraft(TemplateDraft&&) noexcept = default;
  TemplateDraft& operator=(TemplateDraft&&) = delete;
  ~TemplateDraft();

  // For the machine that is frozen into it; once.
  Result<FreezeFiles> MakeFiles();
  // The data disk for that machine, if the template holds one: a copy of the image `blank`.
  Result<sys::UniqueFd> MakeDisk(const std::filesystem::path& blank);

  // After that machine has ended: writes everything to disk and gives the template its name.
  Status Commit(const TemplateFacts& facts);

 private:
  TemplateDraft(sys::FileLock lock, std::filesystem::path directory, std::string key);
  Result<std::string> Seal(const char* name);

  sys::FileLock lock_;
  std::filesystem::path directory_;
  std::filesystem::path draft_;  // Empty once committed.
  std::string key_;
};

// Records a use now.
void TouchTemplate(const std::filesystem::path& directory);

// Every template below `root`, also unreadable ones. Never fails.
std::vector<TemplateSummary> ListTemplates(const std::filesystem::path& root);

// Removes a template; guests that run from it are not disturbed. A missing template, or one that
// another process holds, is no error.
Status RemoveTemplate(const std::filesystem::path& directory);

// Removes the leftovers of killed makers and removals, and returns their bytes. `dry`: removes
// none.
std::uint64_t RemoveTemplateLeftovers(const std::filesystem::path& root, bool dry = false);

// The same, and removes the templates longest unused until the rest takes no more than `max_bytes`;
// `keep` stays.
void LimitTemplates(const std::filesystem::path& root, std::uint64_t max_bytes,
                    const std::filesystem::path& keep);

}  // namespace pyro::vmm
