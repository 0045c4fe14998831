// The payloads of frames other than data, eof and credit: CBOR maps, as structs. Every Decode
// checks types, ranges and limits and returns kProtocol if one is wrong; it ignores unknown keys.
// docs/PROTOCOL.md lists them.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/command.h"
#include "base/json.h"
#include "pyro/enums.h"
#include "pyro/result.h"
#include "wire/files.h"
#include "wire/frame.h"

namespace pyro::wire {

// The payload of a frame as an object. kProtocol unless it is one CBOR map.
Result<Json> DecodeObject(const Frame& frame);

// First frame of either side, on channel 0.
struct Hello {
  int protocol = kProtocolVersion;
  std::string role;    // "client", "supervisor" or "agent"
  std::string build;   // Agent and supervisor must be of the same build.
  std::string kernel;  // Agent: the guest's kernel release.
  Frame ToFrame() const;
  static Result<Hello> FromFrame(const Frame& frame);
};

struct GuestNetwork {
  std::string mac;      // aa:bb:cc:dd:ee:ff
  std::string address;  // IPv4, dotted
  int prefix_length = 0;
  std::string gateway;  // IPv4, dotted
  std::string dns;      // IPv4, dotted
  int mtu = 1500;       // Bytes, 576 to 65535
  // IPv6; empty: the guest has none. Only the gateway is on its link.
  std::string address6 = {};
  std::string gateway6 = {};
};

// The identity of this guest. Sent once, after the agent's Hello.
inline constexpr std::int64_t kMaxGuestVariables = 64;
inline constexpr std::int64_t kMaxCertificateBytes = 16 * 1024;

struct GuestSetup {
  std::string hostname;
  std::string entropy;             // 32 to 256 random bytes, mixed into the guest's pool.
  std::int64_t wall_clock_ns = 0;  // Since the epoch.
  std::optional<GuestNetwork> network;
  std::int64_t data_disk_bytes = 0;  // Wait until the data disk has this size. 0: it has its own.
  // The owner of a workspace that no guest has used yet, as in Exec. Empty: root.
  std::string workspace_user = {};
  // Commands that run at the power-off get it some seconds before they are killed. 0: none.
  std::int64_t stop_signal = 0;
  // Of every command, unless it says otherwise. They are no secrets: the guest has them.
  std::map<std::string, std::string> variables = {};
  // What commands trust beside the guest's own authorities: one certificate in PEM. Empty: nothing.
  std::string certificate = {};
  Frame ToFrame() const;
  static Result<GuestSetup> FromFrame(const Frame& frame);
};

// Answer to GuestSetup; forwarded to clients with the supervisor's own fields.
struct Ready {
  std::string kernel;  // The guest's `uname -r`.
  ExecutionMode execution_mode = ExecutionMode::kGuestVirtioSerial;
  std::string accelerator;        // "kvm" or "tcg"
  std::string start;              // How the guest started: "boot", "template" or "spare".
  std::string shell = "/bin/sh";  // One of kShells; runs scripts in this guest.
  // The time when the machine ran, by the host's steady clock, in microseconds; 0: before this
  // client.
  std::int64_t machine_at_us = 0;
  Frame ToFrame() const;
  static Result<Ready> FromFrame(const Frame& frame);
};

// Shells that run scripts, the preferred one first. A guest can name no other.
inline constexpr std::array<std::string_view, 2> kShells = {"/bin/bash", "/bin/sh"};

// Only bounds the memory of a hostile message: a command reaches kMaxExecBytes first.
inline constexpr std::size_t kMaxArguments = 64 * 1024;
inline constexpr std::size_t kMaxArgumentBytes = 128 * 1024;  // Linux's own limit for a word.
inline constexpr std::size_t kMaxPathBytes = 4095;            // Linux's own limit for a path.
inline constexpr std::size_t kMaxUserBytes = 256;
inline constexpr std::int64_t kMaxSignal = 64;
inline constexpr std::int64_t kMaxTimeoutMs = 7LL * 24 * 3600 * 1000;

// The supervisor enforces the timeout.
struct Exec : CommandSpec {
  std::map<std::string, std::string> env;  // Added to the guest's defaults.
  bool sync = false;     // Agent: sync the data disk before the command's end is reported.
  bool journal = false;  // Supervisor of a task: its output goes to the journal's files only.
  // Supervisor, with `journal`: false: the journal has its number, its times and its end alone. Its
  // output goes to the client, and it dies with the connection.
  bool kept = true;
  std::int64_t sequence = 0;  // Agent: its number in the journal; 0: it is not kept there.
  // Supervisor: argv is a shell with its -c and a script; the guest's own shell takes the first
  // word's place.
  bool script = false;
  // Supervisor of a task, with `journal`: the client's end does not end the command's stdin.
  bool open_stdin = false;
  // Agent: makes `cwd`, for the command's user, if it is missing.
  bool make_cwd = false;
  // Instead of argv: the agent carries out an operation on files. No journal keeps it.
  std::optional<FileRequest> file = {};
  // What a journal has of it.
  CommandSpec ForJournal() const;
  Frame ToFrame(std::uint32_t channel) const;
  static Result<Exec> FromFrame(const Frame& frame);

 private:
  Status ReadArgv(const Json& json);
};

// Last frame of a channel whose command was accepted. The fields of a journal's keeper are not in
// it.
struct Exited : CommandEnd {
  Frame ToFrame(std::uint32_t channel) const;
  static Result<Exited> FromFrame(const Frame& frame);
};

enum class KillReason { kTimedOut, kCancelled };
constexpr std::string_view Name(KillReason reason) {
  if (reason == KillReason::kTimedOut) return "timed_out";
  return reason == KillReason::kCancelled ? "cancelled" : "";
}
struct Kill {
  KillReason reason = KillReason::kCancelled;
  Frame ToFrame(std::uint32_t channel) const;
  static Result<Kill> FromFrame(const Frame& frame);
};

// A request that failed (its channel), or a connection that ends (channel 0).
Frame ErrorFrame(std::uint32_t channel, const Error& error);
// A frame that is malformed is itself a kProtocol error.
Error ErrorFromFrame(const Frame& frame);

// First reply to an exec with `journal`, once the command is recorded.
struct Accepted {
  std::int64_t sequence = 0;  // From 1.
  Frame ToFrame(std::uint32_t channel) const;
  static Result<Accepted> FromFrame(const Frame& frame);
};

// Client to supervisor of a task, on a channel of its own: kill the command of that sequence, of
// any client. The answer is Exited, as for an exec, once the command's end is recorded, or an
// error.
struct Cancel {
  std::int64_t sequence = 0;  // From 1.
  Frame ToFrame(std::uint32_t channel) const;
  static Result<Cancel> FromFrame(const Frame& frame);
};

// Client to supervisor of a task, on a channel of its own: bytes for the stdin of the command of
// that sequence, which was begun with `open_stdin`. The answer is a plain kWritten once the
// command's window has room for all of them, or an error: it got none.
struct Write {
  std::int64_t sequence = 0;  // From 1.
  std::string bytes;          // At most kMaxDataBytes.
  bool close = false;         // They are the last.
  Frame ToFrame(std::uint32_t channel) const;
  static Result<Write> FromFrame(const Frame& frame);
};

// Client to supervisor to agent, on a channel of its own: a question of answers.h. The reply is
// kAnswer or an error, and the last frame of the channel. The fields below the first are those of
// questions about one command.
struct Ask {
  std::string question;
  std::int64_t sequence = 0;
  int signal = 0;
  bool first = false;  // The signal is for the command's first process alone.
  Frame ToFrame(std::uint32_t channel) const;
  static Result<Ask> FromFrame(const Frame& frame);
};

// Client to supervisor. `remove` deletes the VM, otherwise it is left stopped. With `only_spare` a
// guest that a client has claimed meanwhile goes on: the answer is an error.
struct Stop {
  bool remove = false;
  bool only_spare = false;
  Frame ToFrame() const;
  static Result<Stop> FromFrame(const Frame& frame);
};

// Client to supervisor of a spare: this client becomes the owner, as if the guest had been started
// for it. That of a VM ends with the connection, that of a task if the task is not finished then.
// The answer is a plain kClaimed and then kReady, or an error: it has another owner, or the task
// cannot be made.
struct Claim {
  std::int64_t ttl_seconds = 0;  // The lease from now on.
  std::string task = {};         // Its manifest; empty: the guest is that of a VM.
  Frame ToFrame() const;
  static Result<Claim> FromFrame(const Frame& frame);
};

// Supervisor to agent: does the guest run? Answered by a Pong of the same number.
struct Ping {
  std::int64_t number = 0;
  Frame ToFrame() const;
  static Result<Ping> FromFrame(const Frame& frame);
};

// Agent to supervisor, with what the guest's clock shows at that moment.
struct Pong {
  std::int64_t number = 0;
  std::int64_t wall_clock_ns = 0;  // Since the epoch. 0: the agent has no clock of its own to set.
  bool clock_was_set = false;      // By a program in the guest, since the agent last did.
  Frame ToFrame() const;
  static Result<Pong> FromFrame(const Frame& frame);
};

// Supervisor to agent of a guest that is ready: its clock goes forward by so much, or back. Not
// answered.
struct SetClock {
  std::int64_t by_ns = 0;
  bool slew = false;  // By and by, at the rate that its kernel allows, instead of at once.
  Frame ToFrame() const;
  static Result<SetClock> FromFrame(const Frame& frame);
};

// A phase of the guest's start, for people: "boot", "mount", …
struct Progress {
  std::string phase;
  Frame ToFrame() const;
  static Result<Progress> FromFrame(const Frame& frame);
};

// A frame without content: kStarted, kPowerOff, kStopped, kClaimed, kWritten, kNetRules, kNetRuled.
Frame Plain(FrameType type, std::uint32_t channel = 0);

}  // namespace pyro::wire
