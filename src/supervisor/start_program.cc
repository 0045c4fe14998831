#include "supervisor/start_program.h"

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro::supervisor {
Result<sys::ChildProcess> StartProgram(sys::SpawnOptions options,
                                       const wire::SupervisorConfig& config,
                                       const std::string& word) {
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path programs, sys::ProgramDirectory());
  options.argv.push_back((programs / "pyro-supervisor").native());
  if (!word.empty()) {
    const bool is_template = config.kind == wire::GuestKind::kTemplate;
    options.argv.push_back(word);
    const auto& directory = is_template ? config.templ.directory : config.directory;
    options.argv.push_back(directory.filename().native());
  }
  for (const char* name : {"PATH", "HOME", "TMPDIR", "PYRO_FAILPOINT", "PYRO_FAILPOINT_LOG"}) {
    if (const std::string value = sys::Environment(name); !value.empty()) {
      options.env.push_back(fmt::format("{}={}", name, value));
    }
  }
  options.cwd = std::string("/");
  options.die_with_parent = false;
  return sys::SpawnWithInput(std::move(options), FormatSupervisorConfig(config));
}

void StartDetached(const std::string& word, wire::SupervisorConfig config) {
  config.detached = true;
  auto starter = StartProgram({}, config, word);
  // Only the fork that detaches the process. We do not wait for it, because others wait for us.
  if (starter) std::move(*starter).Detach();
}

}  // namespace pyro::supervisor
