// The limits of arguments, and what the engine takes and returns about VMs and commands. All types
// are plain data, copyable, owned by their holder.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pyro/enums.h"
#include "pyro/version.h"

namespace pyro {

// The limits of arguments. What has no least value here begins with 1.
inline constexpr std::int64_t kMaxVcpuCount = 64;
inline constexpr std::int64_t kMinMemMib = 128;
inline constexpr std::int64_t kMaxMemMib = 1024 * 1024;
inline constexpr std::int64_t kMinDiskMib = 256;
inline constexpr std::int64_t kMaxDiskMib = 1024 * 1024;
inline constexpr std::int64_t kMaxTtlSeconds = 10LL * 365 * 24 * 3600;
inline constexpr std::int64_t kMaxTimeoutSeconds = 7LL * 24 * 3600;
inline constexpr std::int64_t kDefaultTimeoutSeconds = 30;
inline constexpr std::size_t kMaxNameBytes = 64;             // Of a task's name.
inline constexpr std::size_t kMaxLabels = 64;                // Of a task.
inline constexpr std::int64_t kMaxSpares = 64;               // Of one kind.
inline constexpr std::size_t kMaxResultBytes = 1024 * 1024;  // Of each stream in a result.
inline constexpr std::int64_t kMaxListedFiles = 100'000;     // Entries of one list.
inline constexpr std::int64_t kMaxFileDepth = 1000;          // Directories below each other.
inline constexpr std::int64_t kMaxPatchStrip = 100;          // Directories at the begin of a name.

// The options of a VM.
struct VmOptions {
  std::string environment;
  std::int64_t vcpu_count = 1;
  std::int64_t mem_mib = 1024;
  std::int64_t ttl_seconds = 600;  // The lease, from the last use.
  bool network = false;            // Outbound NAT; otherwise the guest has no network device.
  // The guest has a network that reaches these hosts alone: HOST[:PORT], where HOST is a name,
  // *.NAME, an address, ADDRESS/BITS or *, or a preset such as @pypi. Empty: the outside, but
  // no address of this host, its LAN or a private network.
  std::vector<std::string> allow = {};
  std::vector<std::string> deny = {};  // The same; they go first.
  // A file with such rules, lines of "allow HOST[:PORT]" and "deny HOST[:PORT]".
  std::string network_policy = {};
  // Secrets that stay outside of the guest: "NAME=env:VARIABLE for HOST[:PORT],…" or
  // "NAME=file:PATH for …"; port 443 if none is said. The guest has a variable NAME with a
  // placeholder, and the value takes its place in fields of HTTPS requests to these hosts alone.
  // Without `network` and `allow`, the guest reaches these hosts and nothing else. The place is
  // stored and read at each start of the guest.
  std::vector<std::string> secrets = {};
  // Packages of apt, pip, npm and cargo come through a cache of this host that all guests share,
  // also without `network`. docs/downloads.md says which hosts and paths.
  bool cache = false;
  // Weakens isolation: if no guest can start, the command runs on this host, in a bubblewrap jail.
  bool allow_host_compat = false;
  // Empty: as PYRO_MACHINE says, or else the configuration, or else kAuto.
  std::optional<MachineKind> machine;
};

// Exactly one of the first two is used: words run unchanged, a script goes to the guest's bash -c,
// or to its sh -c if it has no bash.
struct Command {
  std::vector<std::string> argv;
  std::optional<std::string> script;
  // Variables beside the guest's own, or in their place. Each counts as a word of the command. They
  // may hold secrets: the guest gets them, and no journal, log or error has a value.
  std::map<std::string, std::string> env = {};
  // Of fewer than 4,096 bytes; relative ones count from /workspace. Empty: that.
  std::string cwd = {};
  // NAME or UID, optionally with :GROUP or :GID, as the guest's own files have them. Empty: root.
  std::string user = {};
};

// The times of a run's steps, in milliseconds from the call's beginning; -1: did not happen.
struct Timings {
  std::int64_t prepared_ms = -1;      // Environment, accelerator, disk and registry are there.
  std::int64_t supervised_ms = -1;    // The supervisor listens.
  std::int64_t machine_ms = -1;       // The machine runs: it boots, or its state is restored.
  std::int64_t ready_ms = -1;         // The guest takes commands.
  std::int64_t first_output_ms = -1;  // The first byte of either stream arrived.
  std::int64_t ended_ms = -1;         // The command's end was reported.
  std::int64_t removed_ms = -1;       // All of the VM is removed.
  // How the guest started: "boot", "template" or "spare". Empty: it was running, or there is none.
  std::string start;
};

// Why a command ended as it did, if its outcome does not say enough: one sentence, and what to do.
// Both are empty if there is nothing to say; the hint may be.
struct Explanation {
  // What it tells that the outcome does not.
  enum class Beyond { kNothing, kOutputLeftOpen, kDiskFailed };

  std::string message;
  std::string hint;
  Beyond beyond = Beyond::kNothing;  // Not in JSON.
};

// A process that a kill or a signal reached, as the guest tells.
struct ReachedProcess {
  std::int64_t pid = 0;
  std::string command;  // As in TaskProcess; of a kill the name alone.
};

// What the kill of a command ended.
struct KilledProcesses {
  std::int64_t count = 0;                 // Of its processes.
  bool gone = false;                      // None of them is left in the command's cgroup.
  std::vector<ReachedProcess> processes;  // The first 32 of them.
};

// What the new start of a task's guest kept, and what it did not.
struct Restart {
  struct Ended {
    std::int64_t sequence = 0;
    std::vector<std::string> command;
  };
  std::vector<std::string> kept;
  std::vector<std::string> lost;
  std::vector<Ended> interrupted;  // Commands that ran when the guest went, the last 100.
};

// What was refused to a guest's network.
struct DeniedConnection {
  std::string host;       // The name that was asked for, or that led there; else the address.
  std::string address;    // Empty: it never came to one.
  std::int64_t port = 0;  // 0: it has none.
  std::string protocol;   // tcp, udp, icmp, dns for the question for a name, or other.
  std::string reason;     // Such as not_allowed.
  std::string why;        // The same as a clause.
  std::string rule;       // What would allow it, for VmOptions::allow; empty: no rule does.
  std::int64_t count = 0;
};

// The end of a command. A command that ran is a result, with any exit code.
struct ExecResult {
  // At most kMaxResultBytes, head and tail; empty if the output was streamed. The same for stderr.
  std::string stdout_text;
  std::string stderr_text;
  std::uint64_t stdout_bytes = 0;  // In total.
  std::uint64_t stderr_bytes = 0;
  bool stdout_truncated = false;
  bool stderr_truncated = false;
  int exit_code = 0;                   // As a shell reports it: 124 timed out, 126, 127, 128 + n.
  Outcome outcome = Outcome::kExited;  // Never kInterrupted.
  std::int64_t duration_ms = 0;        // Of the command itself, measured where it ran.
  ExecutionMode execution_mode = ExecutionMode::kPending;  // How it really ran; never kPending.
  std::string environment;
  std::string kernel;       // `uname -r` in the guest, or on the host for host_compat.
  std::string accelerator;  // As `machine`.
  std::string machine;  // "kvm", "tcg" or "usermode": what ran the guest; empty for host_compat.
  // Processes in the background still held stdout or stderr when the command ended. What they
  // print later is not kept.
  bool output_left_open = false;
  Explanation explanation;
  // Of one that timed out or was cancelled; empty: no guest told.
  std::optional<KilledProcesses> killed;
  // What was refused to the guest while it ran, the first 64 kinds.
  std::vector<DeniedConnection> denied;
  Timings timings;
};

struct VmInfo {
  std::string vm_id;
  std::string environment;
  GuestState state = GuestState::kCreated;
  std::int64_t vcpu_count = 0;
  std::int64_t mem_mib = 0;
  std::int64_t ttl_seconds = 0;
  bool network_enabled = false;
  std::vector<std::string> network_rules;  // Such as "allow registry.example:443".
  std::vector<std::string> secrets;        // As in VmOptions, without a value.
  bool cache = false;                      // As in VmOptions.
  bool allow_host_compat = false;
  ExecutionMode execution_mode = ExecutionMode::kPending;
  std::string accelerator;
  // "kvm", "tcg" or "usermode". Before the first start: the one that it was made for; empty: it was
  // not named.
  std::string machine;
  std::string created_at;  // RFC 3339, UTC
  std::string expires_at;
  std::string last_error;  // The reason for the loss of the guest, or empty.
};

struct VmNetworkInfo {
  std::string vm_id;
  bool network_enabled = false;
  // Empty unless the VM is started with a network.
  std::string address;
  std::string gateway;
  std::string dns;
  std::string mac;
  std::int64_t prefix_length = 0;
  // Empty: its guest has no IPv6, which needs a host where IPv6 leads outside.
  std::string ipv6_address;
  std::string ipv6_gateway;
  std::vector<std::string> network_rules;  // As in VmInfo.
  std::vector<DeniedConnection> denied;    // Since the guest's start, the first 64 kinds.
};

// Whether a connection would be allowed.
struct PolicyAnswer {
  std::string host;  // As it was asked for.
  bool allowed = false;
  std::string reason;  // As in DeniedConnection, like the next two; empty: it is allowed.
  std::string why;
  std::string rule;
};

}  // namespace pyro
