#include "engine/requests.h"

#include <string_view>

#include <fmt/format.h>

#include "base/try.h"
#include "registry/vm_record.h"
#include "vmm/vmm.h"

namespace pyro::engine {
namespace {

Status InRange(std::string_view name, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is {}", name, value),
                   fmt::format("{} takes {} to {}", name, min, max));
}

}  // namespace

Status CheckVmOptions(const VmOptions& options) {
  PYRO_RETURN_IF_ERROR(InRange("vcpu_count", options.vcpu_count, 1, vmm::kMaxVcpus));
  PYRO_RETURN_IF_ERROR(InRange("mem_mib", options.mem_mib, vmm::kMinMemoryMib, vmm::kMaxMemoryMib));
  return InRange("ttl_seconds", options.ttl_seconds, 1, registry::kMaxTtl.count());
}

Result<wire::Exec> MakeExec(const Command& command, std::int64_t timeout_seconds) {
  PYRO_RETURN_IF_ERROR(InRange("timeout_seconds", timeout_seconds, 1, kMaxTimeoutSeconds));
  wire::Exec exec;
  exec.argv =
      command.script ? std::vector<std::string>{"/bin/sh", "-c", *command.script} : command.argv;
  exec.cwd = kWorkspace;
  exec.timeout_ms = timeout_seconds * 1000;
  if (exec.argv.empty() || exec.argv[0].empty()) {
    return MakeError(ErrorCode::kInvalidArgument, "there is no command to run",
                     "give the command and its arguments");
  }
  std::size_t total = 0;
  for (const std::string& word : exec.argv) {
    total += word.size() + 16;
    if (word.find('\0') != std::string::npos) {
      return MakeError(ErrorCode::kInvalidArgument, "the command holds a NUL byte",
                       "no program can be given one");
    }
    if (word.size() >= wire::kMaxArgumentBytes) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("a word of the command has {} bytes", word.size()),
                       "Linux takes fewer than 131072; pass the data on stdin");
    }
  }
  if (exec.argv.size() > wire::kMaxArguments || total > wire::kMaxMessageBytes - 4096) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the command has {} words of {} bytes", exec.argv.size(), total),
        fmt::format("at most {} words and 1 MiB; pass the data on stdin", wire::kMaxArguments));
  }
  return exec;
}

}  // namespace pyro::engine
