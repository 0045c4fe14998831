// Templates: frozen guests on disk, for others to go on from.
//
//   templates/<name>/       manifest.json, memory, state and perhaps disk: complete, and never
//   changed templates/<name>.lock   held by whoever makes or removes that one
//   templates/.making-<name>/   under way while the lock is held, a leftover otherwise
//
// The name is a digest of the key: everything that a template depends on, as text. A template is
// only ever a gain of time: whatever is wrong with one, a guest boots without it.

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

inline constexpr std::size_t kMaxTemplateKey = 16 * 1024;

// What its manifest says of a template, besides the key.
struct TemplateFacts {
  std::string environment;         // debian:12
  std::string environment_digest;  // Of the version that it was booted from.
  int vcpu_count = 1;
  int mem_mib = 1024;
  bool network = false;
  bool new_disk = false;  // For guests whose data disk is new: it is mounted already.
  std::string made_at;    // RFC 3339.
};

struct TemplateSummary {
  std::filesystem::path directory;
  TemplateFacts facts;
  std::uint64_t bytes = 0;     // Taken on disk.
  std::int64_t last_used = 0;  // Seconds since the epoch.
  bool broken = false;         // Then the facts are empty.
};

// Opens a template for one guest. Everything small is read and compared: key, sizes, the state's
// checksum. Of memory and disk, too large for that, it is checked that the file is the one that was
// written, unchanged since by the file system's account (inode, size, time of change).
// kNotFound: there is none. kDataLoss: it is damaged, or not what its name says.
Result<FrozenGuest> OpenTemplate(const std::filesystem::path& directory, std::string_view key);

// A template being made. Destroying it uncommitted leaves nothing.
class TemplateDraft {
 public:
  // nullopt: the template is there, or somebody else is making it. Removes what a killed maker of
  // the same one has left. kNoSpace: less is free than `need_bytes`.
  static Result<std::optional<TemplateDraft>> Begin(const std::filesystem::path& directory,
                                                    std::string key, std::uint64_t need_bytes);

  TemplateDraft(TemplateDraft&&) noexcept = default;
  TemplateDraft& operator=(TemplateDraft&&) = delete;
  ~TemplateDraft();

  // For the machine that is frozen into it; once.
  Result<FreezeFiles> MakeFiles();
  // The data disk for that machine, if the template is to hold it: a copy of the image `blank`.
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

// Notes that it has been used now.
void TouchTemplate(const std::filesystem::path& directory);

// Every template below `root`, those that cannot be read included. Never fails.
std::vector<TemplateSummary> ListTemplates(const std::filesystem::path& root);

// Removes a template; guests that live on it are not disturbed. Fine if it is gone, or if somebody
// else is at it.
Status RemoveTemplate(const std::filesystem::path& directory);

// Removes what killed makers left, and the templates longest unused until the rest takes no more
// than `max_bytes`; `keep` stays.
void LimitTemplates(const std::filesystem::path& root, std::uint64_t max_bytes,
                    const std::filesystem::path& keep);

}  // namespace pyro::vmm
