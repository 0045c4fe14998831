#include "engine/instance/templates.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/instance/guest_process.h"
#include "image/store/digest.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/wait_for.h"
#include "vmm/template.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {
namespace {

constexpr int kKeyVersion = 2;           // Changes with the steps before the freeze.
constexpr std::size_t kNameDigits = 32;  // Of the key's digest.
constexpr std::chrono::seconds kWorkLimit{600};

// What spares in user mode depend on of their machine. Nothing of them is frozen.
Result<std::string> UsermodeKey(const GuestParts& parts, const wire::SupervisorConfig& config) {
  struct stat kernel {};
  if (::stat(parts.kernel.c_str(), &kernel) != 0) {
    return sys::ErrnoError(errno, "stat", parts.kernel.native());
  }
  return fmt::format("usermode {} {} {}.{:09} {}\nmemory {}\nnetwork {}\n", parts.kernel.native(),
                     kernel.st_size, kernel.st_mtim.tv_sec, kernel.st_mtim.tv_nsec, kernel.st_ino,
                     config.mem_mib, config.network);
}

Result<std::string> MachineKey(const Context& context, const GuestParts& parts,
                               const wire::SupervisorConfig& config) {
  if (parts.machine.accelerator == vmm::Accelerator::kUsermode) return UsermodeKey(parts, config);
  vmm::MachineSpec spec;
  spec.vcpus = config.vcpu_count;
  spec.memory_mib = config.mem_mib;
  spec.accelerator = parts.machine.accelerator;
  if (config.network) spec.network = vmm::NetworkCard{.fd = {}, .mac = "any"};
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<vmm::Vmm> vmm, context.vmm.create(spec.accelerator));
  return vmm->FrozenMachineKey(spec);
}

std::string TemplateKey(const GuestParts& parts, const std::filesystem::path& blank_disk,
                        const std::string& machine) {
  return fmt::format("template {}\nenvironment {}\ninitramfs {}\ndisk {}\n{}", kKeyVersion,
                     parts.environment.digest, parts.initrd.filename().native(),
                     blank_disk.empty() ? "any" : blank_disk.filename().native(), machine);
}

// Passes on a worker's lines until it has ended.
Status Follow(int output, const std::string& word, const CallIo& io) {
  const Deadline deadline = Deadline::After(kWorkLimit);
  std::string text;
  while (true) {
    const auto waited = sys::WaitFor(output, POLLIN, deadline, io.cancel_fd);
    if (waited == sys::Waited::kCancelled) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (waited == sys::Waited::kTimedOut || deadline.Expired()) {
      return MakeError(ErrorCode::kTimedOut, word + " took too long");
    }
    char bytes[4096];
    const ssize_t n = ::read(output, bytes, sizeof bytes);
    if (n <= 0 || text.size() > wire::kMaxAnswerBytes) break;
    text.append(bytes, static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;
         text.erase(0, end + 1)) {
      const std::string line = text.substr(0, end);
      const auto json = ParseJson(line, wire::kMaxAnswerBytes);
      const auto phase = json ? GetString(*json, "phase", 64) : json.error();
      if (!phase) return wire::ParseAnswer(line);
      if (io.on_progress) io.on_progress(word, Printable(*phase), -1);
    }
  }
  return MakeError(ErrorCode::kInternal, word + ": ended without a word");
}

}  // namespace

std::string NameOfKey(const std::string& key) {
  return image::Sha256Hex(key).substr(0, kNameDigits);
}

std::filesystem::path TemplatesDirectory(const Context& context) {
  return context.cache / "templates";
}

Status PlanTemplate(const Context& context, const GuestParts& parts,
                    wire::SupervisorConfig& config) {
  if (sys::Environment("PYRO_WARM_START") == "0") return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::string machine, MachineKey(context, parts, config));
  config.templ.key = TemplateKey(parts, config.blank_disk, machine);
  // Guests in user mode cannot be frozen, and boot about as fast as others are thawed.
  if (parts.machine.accelerator == vmm::Accelerator::kUsermode) return OkStatus();
  config.templ.directory = TemplatesDirectory(context) / NameOfKey(config.templ.key);
  config.templ.environment = parts.environment.name;
  config.templ.environment_digest = parts.environment.digest;
  if (config.kind == wire::GuestKind::kTask && !config.blank_disk.empty()) {
    config.templ.next_key = TemplateKey(parts, {}, machine);
    config.templ.next_directory = TemplatesDirectory(context) / NameOfKey(config.templ.next_key);
  }
  return OkStatus();
}

Status RunWorker(const wire::SupervisorConfig& config, const std::string& word,
                 const std::filesystem::path& directory, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe output, sys::MakePipe());
  sys::SpawnOptions options;
  options.argv = {"", word, directory.filename()};
  options.stdout_fd = std::move(output.write);
  PYRO_ASSIGN_OR_RETURN(const sys::ChildProcess worker,
                        SpawnSupervisor(std::move(options), config));
  return Follow(output.read.get(), word, io);  // Then the rest of the worker is killed.
}

Status MakeTemplate(const Context& context, const GuestParts& parts, const VmOptions& options,
                    const std::filesystem::path& blank_disk, const CallIo& io) {
  wire::SupervisorConfig config;
  config.blank_disk = blank_disk;
  config.kind = wire::GuestKind::kTemplate;
  config.vcpu_count = static_cast<int>(options.vcpu_count);
  config.mem_mib = static_cast<int>(options.mem_mib);
  config.network = options.network;
  PYRO_RETURN_IF_ERROR(ConfigureSupervisor(context, parts, config));
  if (config.templ.directory.empty()) return OkStatus();
  if (vmm::OpenTemplate(config.templ.directory, config.templ.key)) return OkStatus();
  return RunWorker(config, "template", config.templ.directory, io);
}

namespace {

// A guest of another agent has another initramfs, which is removed some agents later.
bool AgentIsGone(const image::InstalledEnvironment& environment, const std::string& key) {
  constexpr std::string_view kLine = "\ninitramfs ";
  const std::size_t at = key.find(kLine);
  if (at == std::string::npos) return true;
  const std::size_t begin = at + kLine.size();
  const std::string name = key.substr(begin, key.find('\n', begin) - begin);
  return name.empty() || ::access((environment.directory.parent_path() / name).c_str(), F_OK) != 0;
}

}  // namespace

void PruneTemplates(const Context& context, image::EnvironmentStore& store,
                    const TemplatesToPrune& which, PrunedEnvironments& pruned) {
  const auto note = [&](const vmm::TemplateFacts& facts, std::string what, std::uint64_t bytes) {
    pruned.removed.push_back(
        {facts.environment, std::move(what), facts.environment_digest.substr(0, 16), bytes});
    pruned.bytes_freed += bytes;
  };
  const std::uint64_t rests = vmm::RemoveTemplateLeftovers(TemplatesDirectory(context), which.dry);
  if (rests > 0) note({}, "interrupted templates", rests);
  for (const auto& found : vmm::ListTemplates(TemplatesDirectory(context))) {
    const vmm::TemplateFacts& facts = found.facts;
    const bool goes = which.gone_versions.contains(facts.environment + " " +
                                                   facts.environment_digest.substr(0, 16));
    if (!found.broken && !goes) {
      const auto version = store.FindVersion(facts.environment, facts.environment_digest);
      if (version && !(which.agents && AgentIsGone(*version, found.key))) continue;
    }
    if (!which.dry && !vmm::RemoveTemplate(found.directory)) continue;
    note(facts, found.broken ? "broken template" : "template", found.bytes);
  }
}

}  // namespace pyro::engine
