// What a supervisor is told on its standard input: one versioned JSON object, and nothing by flags
// or environment.

#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "pyro/result.h"

namespace pyro::wire {

inline constexpr std::size_t kMaxConfigBytes = 64 * 1024;

// Descriptor number under which the creator passes the locked description of the lock file.
inline constexpr int kLockFd = 3;

// Whose guest it is: a VM is gone when its lease ends, a task is then only stopped. One for a
// template is booted, frozen and gone: it has no id, no directory and no lock. Of a pool of spares,
// the directory is all that counts: no guest, but a process that starts what is missing there.
enum class GuestKind { kVm, kTask, kTemplate, kSparePool };

// The template that the guest goes on from if it is there, and that is made if it is not.
struct TemplateConfig {
  std::filesystem::path directory;  // Empty: boot cold, and make none.
  std::string key;                  // All that it depends on, as text.
  std::string environment;          // For people: debian:12, and its version.
  std::string environment_digest;
};

struct SupervisorConfig {
  GuestKind kind = GuestKind::kVm;
  // A VmId or a TaskId; empty for a template. Of a pool: the spare whose end to wait for, or empty.
  std::string id;
  std::filesystem::path state_dir;
  std::filesystem::path directory;  // The guest's own, with data.img in it already.
  std::filesystem::path kernel;
  std::filesystem::path initrd;
  std::filesystem::path base_disk;
  // The image that data.img is a copy of, if no guest has had it yet: it may then become a copy of
  // what a template has mounted. Empty: data.img has a history of its own.
  std::filesystem::path blank_disk;
  int vcpu_count = 1;
  int mem_mib = 1024;
  bool network = false;
  std::filesystem::path net_program;  // pyro-net; used with `network` only.
  std::string accelerator = "tcg";    // "tcg" or "kvm"
  std::chrono::seconds ttl{600};
  bool dies_with_first_client = false;  // `pyro run`: removed as soon as its client is gone.
  std::chrono::seconds boot_timeout{120};
  TemplateConfig templ;
  bool detached = false;  // For a template or a pool: in the background, whatever becomes of us.
  // The pool that this VM waits in until a client claims it. It says that it listens when it is
  // ready. Empty: it belongs to the first client.
  std::filesystem::path spare_pool;
};

std::string FormatSupervisorConfig(const SupervisorConfig& config);

// kInvalidArgument when it is not a configuration of this version, complete and in range.
Result<SupervisorConfig> ParseSupervisorConfig(std::string_view text);

}  // namespace pyro::wire
