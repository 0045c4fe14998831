// The configuration of a supervisor, one versioned JSON object on its standard input: it reads no
// flags and no environment variables. And the lines that it prints on its standard output for its
// creator, JSON objects too.

#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/secret.h"
#include "pyro/result.h"

namespace pyro::wire {

inline constexpr std::size_t kMaxConfigBytes = 640 * 1024;

// Descriptor number under which the creator passes the locked description of the lock file.
inline constexpr int kLockFd = 3;
// The reservation of its guest (state/quota.h), which it holds for life, too.
inline constexpr int kGuestFd = 4;

// The kind of guest. When its lease ends, a VM is deleted, a task is only stopped. A guest for a
// template is booted, frozen and ended: it has no id, no directory and no lock. For a pool of
// spares there is no guest: the process starts the missing spares of the directory.
enum class GuestKind { kVm, kTask, kTemplate, kSparePool };
// "vm", "task", "template" and "spare_pool"; empty for a value that is none of them.
std::string_view Name(GuestKind kind);

// The template that the guest starts from if it exists, and that is made if it does not.
struct TemplateConfig {
  std::filesystem::path directory;  // Empty: boot cold, and make none.
  std::string key;                  // Every input that it depends on, as text.
  std::string environment;          // For people: debian:12, and its version.
  std::string environment_digest;
  // Of the template from which the guest starts again, if that is another one. Made like the first.
  std::filesystem::path next_directory;
  std::string next_key;
};

struct LayerDisk {
  std::filesystem::path path;
};

struct SupervisorConfig {
  GuestKind kind = GuestKind::kVm;
  // An InstanceId; empty for a template. For a pool: the spare whose end to wait for, or
  // empty.
  std::string id;
  std::filesystem::path state_dir;
  std::filesystem::path directory;  // The guest's own, with data.img in it already.
  std::filesystem::path kernel;
  std::filesystem::path initrd;
  std::filesystem::path base_disk;
  std::vector<LayerDisk> layer_disks;  // As MachineSpec has them.
  // The image that data.img is a copy of, if no guest has used data.img yet. It may then become a
  // copy of the disk that a template has mounted. Empty: a guest has used data.img.
  std::filesystem::path blank_disk;
  int vcpu_count = 1;
  int mem_mib = 1024;
  bool network = false;
  std::string network_rules;          // Lines of a net::Policy.
  std::filesystem::path net_program;  // pyro-net; used with `network` only.
  // With their values: this text goes over a pipe, and to no file. Never of a spare or a template.
  std::vector<SecretValue> secrets;
  std::filesystem::path proxy_program;  // pyro-proxy; used with `secrets` only.
  // The cache of downloads; empty routes: the guest has none. For hosts see proxy/config.h.
  std::string download_routes;
  std::string download_hosts;  // All that it serves: NAME:PORT and spaces.
  std::string only_cached;
  std::filesystem::path downloads_directory;
  std::int64_t downloads_max_bytes = 0;
  std::string accelerator = "tcg";  // "tcg", "kvm" or "usermode"
  std::chrono::seconds ttl{600};
  bool dies_with_first_client = false;  // `pyro run`: removed as soon as its client is gone.
  std::chrono::seconds boot_timeout{120};
  TemplateConfig templ;
  bool detached = false;  // For a template or a pool: outlives its creator.
  // Of the environment's image, as in GuestSetup.
  std::string workspace_user;
  std::int64_t stop_signal = 0;
  // The pool in which this VM waits until a client claims it. It listens only once it is ready.
  // Empty: it belongs to the first client.
  std::filesystem::path spare_pool;
};

std::string FormatSupervisorConfig(const SupervisorConfig& config);

// kInvalidArgument when it is not a configuration of this version, complete and in range.
Result<SupervisorConfig> ParseSupervisorConfig(std::string_view text);

inline constexpr std::size_t kMaxAnswerBytes = 64 * 1024;

// It listens, or is done.
std::string FormatAnswer();
std::string FormatAnswer(const Error& why_not);

// OK, or the error in it. Any other text, as of a supervisor that died, is kInternal.
Status ParseAnswer(std::string_view line);

}  // namespace pyro::wire
