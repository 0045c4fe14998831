#include "front/mcp/host.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace pyro::mcp_server {

std::string ForModels(std::string text) {
  // What the command line calls them, and what tools do.
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 17> kWords = {{
      {"`pyro env prune`", "vm_prune_environments"},
      {"'pyro warm'", "vm_list"},
      {"pyro env pull ", "its first use builds it, such as vm_run with environment "},
      {"see 'pyro doctor'", "see vm_doctor"},
      {"`pyro task list`", "task_list"},
      {"`pyro task logs`", "task_logs"},
      {"'pyro task create'", "task_create"},
      {"'pyro task exec'", "task_exec"},
      {"'pyro task logs'", "task_logs"},
      {"'pyro task snapshot create'", "task_snapshot with action create"},
      {"'pyro task snapshot delete'", "task_snapshot with action delete"},
      {"'pyro env list'", "vm_list_environments"},
      {"`pyro env list`", "vm_list_environments"},
      {"a dry run lists them all; prefer host or task says which side is right",
       "with force the task's side is right; without sync, another destination gets it to compare"},
      {"without --source-path", "without source_path"},
      {"--allow-host-compat", "allow_host_compat"},
      {"create another one", "create another one with vm_create"},
  }};
  for (const auto& [from, to] : kWords) {
    if (const std::size_t at = text.find(from); at != std::string::npos) {
      text.replace(at, from.size(), to);
    }
  }
  // With the words of the call: "'pyro task snapshot create ID NAME'".
  constexpr std::string_view kKeeps = "'pyro task snapshot create ";
  const std::size_t at = text.find(kKeeps);
  const std::size_t end = at == std::string::npos ? at : text.find('\'', at + kKeeps.size());
  if (end == std::string::npos) return text;
  const std::string name = text.substr(text.rfind(' ', end) + 1, end - text.rfind(' ', end) - 1);
  return text.replace(at, end + 1 - at,
                      fmt::format("task_snapshot with action create and name {}", name));
}

Error ForModels(Error error) {
  error.message = ForModels(std::move(error.message));
  error.hint = ForModels(std::move(error.hint));
  return error;
}

std::string TaskUri(std::string_view task_id) { return fmt::format("pyro://tasks/{}", task_id); }

std::string StreamUri(std::string_view task_id, std::int64_t sequence, std::string_view stream) {
  return fmt::format("pyro://tasks/{}/commands/{}/{}", task_id, sequence, stream);
}

}  // namespace pyro::mcp_server
