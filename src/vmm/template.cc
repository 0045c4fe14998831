#include "vmm/template.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/fields.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "sys/disk_walk.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/sparse_copy.h"

namespace pyro::vmm {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTemplateFormat = 3;
constexpr std::size_t kMaxManifest = 64 * 1024;
constexpr std::size_t kMaxState = 16 * 1024 * 1024;
constexpr char kManifest[] = "manifest.json";
constexpr char kMemory[] = "memory";
constexpr char kState[] = "state";
constexpr char kDisk[] = "disk";
constexpr char kMakingPrefix[] = ".making-";
constexpr char kTrashPrefix[] = ".trash-";
constexpr char kLockSuffix[] = ".lock";

fs::path LockOf(const fs::path& directory) {
  return directory.parent_path() / (directory.filename().native() + kLockSuffix);
}

fs::path HiddenName(const fs::path& directory, const char* prefix) {
  return directory.parent_path() / (prefix + directory.filename().native());
}

Error Damaged(const fs::path& directory, std::string_view why) {
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("the template '{}' is damaged: {}", directory.native(), why));
}

// Detects a later change of a file. Text, because JSON does not carry numbers of 64 bits.
std::string Fingerprint(const struct stat& status) {
  return fmt::format("{}:{}:{}:{}.{:09}:{}.{:09}", status.st_dev, status.st_ino, status.st_size,
                     status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                     status.st_ctim.tv_nsec);
}

Result<std::string> FingerprintOf(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return sys::ErrnoError(errno, "stat");
  return Fingerprint(status);
}

struct Manifest {
  std::string key;
  TemplateFacts facts;
  std::string memory;  // Fingerprint.
  std::string state;   // Checksum, 16 hexadecimal digits.
  std::string disk;    // Fingerprint; empty without one.
};

std::string StateChecksum(std::string_view state) { return fmt::format("{:016x}", Crc64(state)); }

template <auto... kPath>
constexpr Field ManifestRow(const char* name) {
  return Row<Manifest, kPath...>(name);
}
template <auto kMember>
constexpr Field FactRow(const char* name) {
  return ManifestRow<&Manifest::facts, kMember>(name);
}

constexpr Field kManifestFields[] = {
    ManifestRow<&Manifest::key>("key").To(kMaxTemplateKey),
    FactRow<&TemplateFacts::environment>("environment"),
    FactRow<&TemplateFacts::environment_digest>("environment_digest").To(128),
    FactRow<&TemplateFacts::vcpu_count>("vcpu_count").From(1).To(kMaxVcpuCount),
    FactRow<&TemplateFacts::mem_mib>("mem_mib").From(kMinMemMib).To(kMaxMemMib),
    FactRow<&TemplateFacts::network>("network"),
    FactRow<&TemplateFacts::new_disk>("new_disk"),
    FactRow<&TemplateFacts::data_disk_bytes>("data_disk_bytes"),
    FactRow<&TemplateFacts::made_at>("made_at").To(64),
    ManifestRow<&Manifest::memory>("memory_file").To(256),
    ManifestRow<&Manifest::state>("state_crc64").To(64),
    ManifestRow<&Manifest::disk>("disk_file").To(256),
};

std::string FormatManifest(const Manifest& manifest) {
  Json json = FieldsToJson(kManifestFields, &manifest);
  json["format"] = kTemplateFormat;
  return ToPrettyJson(json) + "\n";
}

Result<Manifest> ReadManifest(const fs::path& directory) {
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadFile(directory / kManifest, kMaxManifest));
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxManifest));
  PYRO_RETURN_IF_ERROR(GetInt(json, "format", kTemplateFormat, kTemplateFormat));
  Manifest manifest;
  PYRO_RETURN_IF_ERROR(ReadFields(kManifestFields, json, &manifest));
  return manifest;
}

// A file of a template, if it has that fingerprint.
Result<sys::UniqueFd> OpenUnchanged(const fs::path& directory, const char* name,
                                    const std::string& fingerprint) {
  auto file = sys::OpenRegularFile(directory / name, O_RDONLY);
  if (!file) return Damaged(directory, file.error().message);
  PYRO_ASSIGN_OR_RETURN(const std::string found, FingerprintOf(file->get()));
  if (found != fingerprint) return Damaged(directory, fmt::format("its {} has changed", name));
  return std::move(*file);
}

// Renames it in one step, so that a crash leaves a leftover and never half a template.
Status RemoveHeld(const fs::path& directory) {
  const fs::path trash = HiddenName(directory, kTrashPrefix);
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(trash));
  if (::rename(directory.c_str(), trash.c_str()) != 0) {
    if (errno == ENOENT) return OkStatus();
    return sys::ErrnoError(errno, "rename", directory.native());
  }
  return sys::RemoveTree(trash);
}

}  // namespace

Result<FrozenGuest> OpenTemplate(const fs::path& directory, std::string_view key) {
  if (::access(directory.c_str(), F_OK) != 0) {
    return MakeError(ErrorCode::kNotFound, "there is no such template");
  }
  const auto manifest = ReadManifest(directory);
  if (!manifest) return Damaged(directory, manifest.error().message);
  if (manifest->key != key) return Damaged(directory, "it was made for something else");
  FrozenGuest guest;
  guest.data_disk_bytes = manifest->facts.data_disk_bytes;
  PYRO_ASSIGN_OR_RETURN(guest.memory, OpenUnchanged(directory, kMemory, manifest->memory));
  if (manifest->facts.new_disk) {
    PYRO_ASSIGN_OR_RETURN(guest.disk, OpenUnchanged(directory, kDisk, manifest->disk));
  }
  const auto state = sys::ReadFile(directory / kState, kMaxState);
  if (!state) return Damaged(directory, state.error().message);
  if (StateChecksum(*state) != manifest->state) return Damaged(directory, "its state has changed");
  // A copy: the machine reads exactly the checked bytes.
  PYRO_ASSIGN_OR_RETURN(guest.state, sys::MakeMemoryFile(*state));
  return guest;
}

TemplateDraft::TemplateDraft(sys::FileLock lock, fs::path directory, std::string key)
    : lock_(std::move(lock)),
      directory_(std::move(directory)),
      draft_(HiddenName(directory_, kMakingPrefix)),
      key_(std::move(key)) {}

Result<std::optional<TemplateDraft>> TemplateDraft::Begin(const fs::path& directory,
                                                          std::string key,
                                                          std::uint64_t need_bytes) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory.parent_path()));
  PYRO_ASSIGN_OR_RETURN(auto lock, sys::FileLock::TryAcquire(LockOf(directory)));
  if (!lock) return std::optional<TemplateDraft>();
  if (OpenTemplate(directory, key)) return std::optional<TemplateDraft>();
  PYRO_RETURN_IF_ERROR(RemoveHeld(directory));
  TemplateDraft draft(std::move(*lock), directory, std::move(key));
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(draft.draft_));
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t free_bytes, sys::FreeSpace(directory.parent_path()));
  if (free_bytes < need_bytes) {
    return MakeError(
        ErrorCode::kNoSpace,
        fmt::format("a template may take {} and '{}' has {} left", FormatBytes(need_bytes),
                    directory.parent_path().native(), FormatBytes(free_bytes)));
  }
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(draft.draft_));
  return std::optional<TemplateDraft>(std::move(draft));
}

TemplateDraft::~TemplateDraft() {
  if (!draft_.empty()) static_cast<void>(sys::RemoveTree(draft_));
}

Result<FreezeFiles> TemplateDraft::MakeFiles() {
  FreezeFiles files;
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL;
  PYRO_ASSIGN_OR_RETURN(files.memory, sys::OpenFile(draft_ / kMemory, kFlags));
  PYRO_ASSIGN_OR_RETURN(files.state, sys::OpenFile(draft_ / kState, kFlags));
  // Readable by any user, because the machine's user varies. The directories above keep others
  // away.
  if (::fchmod(files.memory.get(), 0666) != 0) return sys::ErrnoError(errno, "chmod", "memory");
  return files;
}

Result<sys::UniqueFd> TemplateDraft::MakeDisk(const fs::path& blank) {
  return sys::CloneSparse(blank, draft_ / kDisk);
}

// Syncs the file and returns its fingerprint.
Result<std::string> TemplateDraft::Seal(const char* name) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file, sys::OpenRegularFile(draft_ / name, O_RDONLY));
  if (::fchmod(file.get(), 0444) != 0 || ::fsync(file.get()) != 0) {
    return sys::ErrnoError(errno, "write", (draft_ / name).native());
  }
  return FingerprintOf(file.get());
}

Status TemplateDraft::Commit(const TemplateFacts& facts) {
  PYRO_ASSIGN_OR_RETURN(const std::string state, sys::ReadFile(draft_ / kState, kMaxState));
  Manifest manifest{
      .key = key_, .facts = facts, .memory = {}, .state = StateChecksum(state), .disk = {}};
  PYRO_RETURN_IF_ERROR(Seal(kState));
  PYRO_ASSIGN_OR_RETURN(manifest.memory, Seal(kMemory));
  if (facts.new_disk) {
    PYRO_ASSIGN_OR_RETURN(manifest.disk, Seal(kDisk));
  }
  PYRO_RETURN_IF_ERROR(sys::WriteFileAtomically(draft_ / kManifest, FormatManifest(manifest)));
  if (::rename(draft_.c_str(), directory_.c_str()) != 0) {
    return sys::ErrnoError(errno, "rename", draft_.native());
  }
  draft_.clear();
  return sys::SyncDirectory(directory_.parent_path());
}

void TouchTemplate(const fs::path& directory) {
  ::utimensat(AT_FDCWD, (directory / kManifest).c_str(), nullptr, 0);
}

std::vector<TemplateSummary> ListTemplates(const fs::path& root) {
  std::vector<TemplateSummary> list;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.') || name.ends_with(kLockSuffix)) continue;
    TemplateSummary summary;
    summary.directory = entry.path();
    summary.bytes = sys::DiskUsage(entry.path());
    auto manifest = ReadManifest(entry.path());
    summary.broken = !manifest || !OpenTemplate(entry.path(), manifest->key);
    if (manifest) {
      summary.facts = std::move(manifest->facts);
      summary.key = std::move(manifest->key);
    }
    struct stat status {};
    if (::stat((entry.path() / kManifest).c_str(), &status) == 0) {
      summary.last_used = status.st_mtim.tv_sec;
    }
    list.push_back(std::move(summary));
  }
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.directory < b.directory; });
  return list;
}

Status RemoveTemplate(const fs::path& directory) {
  const fs::path lock_file = LockOf(directory);
  PYRO_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::TryAcquire(lock_file));
  if (!lock) return OkStatus();
  PYRO_RETURN_IF_ERROR(RemoveHeld(directory));
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(HiddenName(directory, kMakingPrefix)));
  // Last, while it is held: a waiting process sees that the file is gone and asks again.
  ::unlink(lock_file.c_str());
  return OkStatus();
}

std::uint64_t RemoveTemplateLeftovers(const fs::path& root, bool dry) {
  std::uint64_t freed = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root, error)) {
    const std::string name = entry.path().filename();
    for (const std::string prefix : {kMakingPrefix, kTrashPrefix}) {
      if (!name.starts_with(prefix)) continue;
      const fs::path directory = root / name.substr(prefix.size());
      auto lock = sys::FileLock::TryAcquire(LockOf(directory));
      if (!lock || !*lock) continue;
      const std::uint64_t bytes = sys::DiskUsage(entry.path());
      if (!dry && !sys::RemoveTree(entry.path())) continue;
      freed += bytes;
      // As in RemoveTemplate().
      if (!fs::exists(directory, error)) ::unlink(LockOf(directory).c_str());
    }
  }
  return freed;
}

void LimitTemplates(const fs::path& root, std::uint64_t max_bytes, const fs::path& keep) {
  RemoveTemplateLeftovers(root);
  std::vector<TemplateSummary> list = ListTemplates(root);
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.last_used > b.last_used; });
  std::uint64_t total = 0;
  for (const TemplateSummary& summary : list) {
    total += summary.bytes;
    if (summary.directory == keep || (total <= max_bytes && !summary.broken)) continue;
    if (RemoveTemplate(summary.directory)) total -= summary.bytes;
  }
}

}  // namespace pyro::vmm
