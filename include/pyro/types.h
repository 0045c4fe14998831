// The arguments and results of the engine: all that vm_types.h and task_types.h declare, and what
// is about environments and the host. All types are plain data, copyable, owned by their holder.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pyro/enums.h"
#include "pyro/task_types.h"
#include "pyro/version.h"
#include "pyro/vm_types.h"

namespace pyro {

struct EnvironmentInfo {
  std::string name;
  std::string description;
  bool installed = false;
  bool broken = false;    // Installed, but damaged: pull repairs it.
  bool outdated = false;  // Installed by an older recipe, and usable: pull builds it again.
  std::string digest;     // This and the fields below are empty unless it is installed.
  std::string installed_at;
  std::uint64_t size_bytes = 0;
  std::string last_used_at;  // RFC 3339; empty: no guest has started from it.
  // Of an image: where it was pulled from, and its digest there. Empty: it is of the catalog.
  std::string source;
  std::string image_digest;
};

// What an image says of itself, and where it came from.
struct ImageInfo {
  std::string source;               // As in EnvironmentInfo.
  std::string source_digest;        // There; of an index that of the index.
  std::string manifest_digest;      // Of this platform's image as it was stored here.
  std::vector<std::string> layers;  // Digests, the lowest first.
  std::uint64_t layer_bytes = 0;    // Of the layers, compressed.
  std::string architecture;
  std::vector<std::string> env;  // NAME=VALUE
  std::string working_dir;       // This and the fields below are empty where it says nothing.
  std::string user;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string stop_signal;
  std::vector<std::string> left_out;  // What of it the environment lacks, one sentence each.
};

// A command of the task that became an environment. Its variables and its stdin are not kept.
struct CommitCommand {
  std::int64_t sequence = 0;  // In the task's journal.
  std::string command;        // As a shell would read it; its first 1,000 bytes.
  std::string cwd;
  std::string user;     // Empty: root.
  std::string outcome;  // As of TaskCommand; empty: it was running.
  std::int64_t exit_code = 0;
  std::string started_at;  // RFC 3339
};

// How an environment was made of a task.
struct CommitInfo {
  std::string task_id;
  std::string task_name;                // Empty: it had none.
  std::string environment;              // What the task was made of,
  std::string environment_digest;       // and its version.
  std::string committed_at;             // RFC 3339
  bool workspace = false;               // With the content of /workspace.
  std::vector<CommitCommand> commands;  // The first 500 that ran in it.
  std::uint64_t more_commands = 0;
};

// A frozen guest that new guests start from.
struct TemplateInfo {
  std::int64_t vcpu_count = 1;
  std::int64_t mem_mib = 1024;
  bool network = false;
  bool new_disk = false;         // For new guests; else for tasks that start again and other sizes.
  std::uint64_t size_bytes = 0;  // Taken on disk.
  std::string made_at;           // RFC 3339
  std::string last_used_at;      // RFC 3339
};

struct EnvironmentDetails {
  EnvironmentInfo info;
  std::string catalog_version = kVersion;
  std::string kernel_release;
  std::string kernel_package;
  std::string directory;
  std::vector<std::string> files;     // NAME SIZE SHA256
  std::vector<std::string> packages;  // NAME VERSION
  std::vector<std::string> apt_sources;
  std::vector<std::string> modules;
  std::vector<std::string> tools;  // NAME VERSION
  std::vector<TemplateInfo> templates;
  std::optional<ImageInfo> image;    // Empty: the environment is one of the catalog.
  std::optional<CommitInfo> commit;  // Empty: it was not made of a task.
};

struct CommittedEnvironment {
  EnvironmentInfo info;
  std::string task_id;
  std::vector<std::string> left_out;  // What of the task's files it lacks, one sentence each.
};

struct ExportedEnvironment {
  std::string environment;
  std::string digest;                 // Of the version.
  std::string file;                   // Absolute; empty for a descriptor.
  std::uint64_t bytes = 0;            // Of the archive; 0 for a descriptor.
  std::vector<std::string> left_out;  // What of its files the archive lacks, one sentence each.
};

struct PulledEnvironment {
  EnvironmentInfo info;
  bool built = false;                 // False: it was installed already.
  std::vector<std::string> left_out;  // As in ImageInfo.
};

struct RemovedEnvironment {
  std::string environment;
  std::uint64_t bytes_freed = 0;
};

struct PrunedEnvironments {
  struct Item {
    std::string environment;
    std::string what;
    std::string digest;
    std::uint64_t bytes = 0;
  };
  std::vector<Item> removed;
  std::vector<std::string> skipped;
  std::uint64_t bytes_freed = 0;
};

struct SparePoolInfo {
  std::string environment;
  std::int64_t vcpu_count = 1;
  std::int64_t mem_mib = 1024;
  bool network = false;
  std::string machine;       // "kvm", "tcg" or "usermode".
  std::int64_t count = 0;    // The number to keep.
  std::int64_t waiting = 0;  // The number that is ready now.
  std::int64_t ttl_seconds = 0;
  std::string expires_at;  // RFC 3339, unless taken before. Empty: none, or of KeepOwnSpares().
};

// One setting of the user's configuration file.
struct Setting {
  std::string name;                 // "machine".
  std::string value;                // Empty: it is not set.
  std::string usual;                // What counts while it is not set.
  std::vector<std::string> values;  // All that it can be.
  std::string sentence;             // What it decides.
};

struct SettingList {
  std::string file;  // Absolute; it need not exist.
  std::vector<Setting> settings;
};

// A limit of this user, or what must be left to others.
struct LimitInfo {
  std::string name;                   // Of the setting: "limit.guests".
  std::string kind;                   // "at_most", or "at_least" of what must be left.
  std::optional<std::int64_t> limit;  // Guests, tasks or MiB. Empty: none.
  std::int64_t now = 0;               // In the same unit.
  std::string decided_by;             // "default" or "setting".
  std::string sentence;
};

struct LimitList {
  std::vector<LimitInfo> limits;
};

// What one kind of files takes.
struct DiskUse {
  std::string kind;                     // "layers", "environments", "templates", "downloads",
                                        // "tasks", "vms", "spares" or "other".
  std::uint64_t bytes = 0;              // Allocated.
  std::uint64_t reclaimable_bytes = 0;  // What CollectGarbage() would free of them.
};

struct TaskSize {
  std::string task_id;
  std::string name;                   // Empty: it has none.
  std::uint64_t bytes = 0;            // Of all its files; blocks that they share count once.
  std::uint64_t disk_bytes = 0;       // Of its disk, with blocks that snapshots share.
  std::uint64_t snapshots_bytes = 0;  // Of all its snapshots, the same.
  std::uint64_t journal_bytes = 0;
};

// Where this user's disk goes.
struct DiskReport {
  std::string state_directory;
  std::string cache_directory;
  std::vector<DiskUse> uses;
  std::vector<TaskSize> tasks;  // The largest first.
  std::uint64_t bytes = 0;      // Of all uses.
  std::uint64_t reclaimable_bytes = 0;
  std::uint64_t free_bytes = 0;        // Of the state directory's file system, for this user.
  std::uint64_t cache_free_bytes = 0;  // Of the cache directory's.
  std::vector<LimitInfo> limits;       // Those of the disk.
};

struct FreedItem {
  std::string kind;  // As of DiskUse.
  std::string name;  // Of an environment or a directory; empty: several.
  std::string what;  // "superseded version", "template", "expired or half made", ...
  std::uint64_t bytes = 0;
};

struct GarbageReport {
  bool dry_run = false;              // Nothing was removed.
  std::vector<FreedItem> freed;      // Or what would be.
  std::vector<std::string> skipped;  // Environments that another process is at work on.
  std::uint64_t bytes_freed = 0;
};

struct ReapedVms {
  std::vector<std::string> vm_ids;  // Removed VMs: their lease was over, or their guest crashed.
  std::int64_t leftovers = 0;       // Files and directories that belonged to no VM.
};

// The state of one requirement of pyro on this host.
struct DoctorCheck {
  std::string name;
  bool ok = false;
  bool required = true;
  std::string detail;
  std::string fix;  // The command that fixes it, or empty.
};

struct DoctorKvm {
  bool exists = false;
  bool readable = false;
  bool writable = false;
};

struct DoctorCapabilities {
  bool vm_boot = false;
  bool guest_exec = false;
  bool guest_network = false;
  bool host_compat = false;
};

struct DoctorNetworking {
  bool tun = false;
  bool ip_forward = false;
  std::string backend;  // Empty: no guest can have a network.
  bool ipv6 = false;    // Guests with a network have IPv6.
};

struct DoctorAccelerator {
  std::string name;  // "kvm", "tcg", or empty: none works.
  std::string reason;
};

// A kind of machine on this host.
struct DoctorMachine {
  std::string name;  // "kvm", "tcg" or "usermode".
  bool works = false;
  std::string reason;  // Why it does not work, or empty.
  std::string fix;     // The command that makes it work, or empty.
};

// The machine that a guest gets whose call names none.
struct DoctorChoice {
  std::string name;        // "kvm", "tcg" or "usermode"; empty: no guest can run.
  std::string reason;      // Why it is this one, or why it is none.
  std::string decided_by;  // "this host", a variable, or the path of the configuration file.
};

struct DoctorReport {
  std::string version = kVersion;
  std::string platform;  // linux-x86_64
  bool runtime_ok = false;
  DoctorKvm kvm;
  std::string environment_cache;
  std::string state_directory;
  DoctorCapabilities capabilities;
  DoctorNetworking networking;
  DoctorAccelerator accelerator;
  DoctorChoice machine;
  std::vector<DoctorMachine> machines;
  std::string configuration_file;  // It need not exist. Empty: there is no home directory for one.
  std::vector<DoctorCheck> checks;
  std::vector<std::string> issues;  // One sentence each, with a remedy.
};

}  // namespace pyro
