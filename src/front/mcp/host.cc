#include "front/mcp/host.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace pyro::mcp_server {

Error ForModels(Error error) {
  // What the command line calls them, and what tools do.
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kWords = {{
      {"`pyro env prune`", "vm_prune_environments"},
      {"'pyro warm'", "vm_list"},
      {"pyro env pull ", "its first use builds it, such as vm_run with environment "},
      {"see 'pyro doctor'", "see vm_doctor"},
      {"`pyro task list`", "task_list"},
      {"`pyro task logs`", "task_logs"},
      {"'pyro task create'", "task_create"},
      {"'pyro env list'", "vm_list_environments"},
      {"`pyro env list`", "vm_list_environments"},
      {"without --source-path", "without source_path"},
      {"--allow-host-compat", "allow_host_compat"},
      {"another one", "another one with vm_create"},
  }};
  for (const auto& [from, to] : kWords) {
    for (std::string* text : {&error.message, &error.hint}) {
      if (const std::size_t at = text->find(from); at != std::string::npos) {
        text->replace(at, from.size(), to);
      }
    }
  }
  return error;
}

std::string TaskUri(std::string_view task_id) { return fmt::format("pyro://tasks/{}", task_id); }

std::string StreamUri(std::string_view task_id, std::int64_t sequence, std::string_view stream) {
  return fmt::format("pyro://tasks/{}/commands/{}/{}", task_id, sequence, stream);
}

}  // namespace pyro::mcp_server
