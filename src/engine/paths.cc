#include "engine/paths.h"

#include <dlfcn.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"
#include "state/own_directory.h"
#include "sys/host.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

Result<fs::path> DirectoryFor(const char* variable, const char* below_home) {
  if (const std::string value = sys::Environment(variable); !value.empty()) {
    if (value[0] == '/') return fs::path(value);
    return MakeError(ErrorCode::kInvalidArgument,
                     std::string(variable) + " is not an absolute path",
                     "give it one, or unset it");
  }
  PYRO_ASSIGN_OR_RETURN(const fs::path home, sys::HomeDirectory());
  return home / below_home;
}

// What another user could put there would become this user's guests, or their disks.
Result<fs::path> OwnDirectoryFor(const char* variable, const char* below_home) {
  PYRO_ASSIGN_OR_RETURN(fs::path directory, DirectoryFor(variable, below_home));
  if (Status own = state::CheckOwnDirectory(directory); !own) {
    Error error = std::move(own).error();
    error.hint = error.hint.empty() ? fmt::format("set {} to a directory of your own", variable)
                                    : fmt::format("{}; {} can name another", error.hint, variable);
    return error;
  }
  return directory;
}

// Of the program or module that this code is part of: a Python package brings its own helpers, and
// an installed libpyro.so lies beside lib/pyro-mcp.
fs::path OwnObjectDirectory() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&OwnObjectDirectory), &info) == 0) return {};
  const fs::path file = info.dli_fname != nullptr ? info.dli_fname : "";
  return file.is_absolute() ? file.parent_path() : fs::path();
}

Result<fs::path> OwnFile(const char* name, int mode) {
  std::vector<fs::path> directories;
  if (auto own = sys::ProgramDirectory()) {
    directories.push_back(*own);
    directories.push_back(own->parent_path() / "lib/pyro-mcp");
  }
  if (const fs::path object = OwnObjectDirectory(); !object.empty()) {
    directories.insert(directories.begin(), {object / "libexec", object / "pyro-mcp"});
  }
  if (const std::string value = sys::Environment("PYRO_LIBEXEC_DIR"); !value.empty()) {
    directories.insert(directories.begin(), value);
  }
  directories.emplace_back("/usr/local/lib/pyro-mcp");
  directories.emplace_back("/usr/lib/pyro-mcp");
  for (const fs::path& directory : directories) {
    if (::access((directory / name).c_str(), mode) == 0) return directory / name;
  }
  return MakeError(ErrorCode::kMissingTool, std::string(name) + " is not beside this program",
                   "install pyro again, or set PYRO_LIBEXEC_DIR to the directory that holds it");
}

}  // namespace

Result<Engine::Directories> Engine::DefaultDirectories() {
  PYRO_ASSIGN_OR_RETURN(const fs::path state,
                        OwnDirectoryFor("PYRO_STATE_DIR", ".local/state/pyro-mcp"));
  PYRO_ASSIGN_OR_RETURN(const fs::path cache, OwnDirectoryFor("PYRO_CACHE_DIR", ".cache/pyro-mcp"));
  auto configuration = OwnDirectoryFor("PYRO_CONFIG_DIR", ".config/pyro-mcp");
  // Without a home directory there are no settings, which is no error.
  const bool none = !configuration && configuration.error().code == ErrorCode::kNotFound;
  if (!configuration && !none) return std::move(configuration).error();
  return Directories{state, cache, none ? fs::path() : *configuration / "config"};
}

namespace engine {

Result<fs::path> SupervisorProgram() { return OwnFile("pyro-supervisor", X_OK); }
Result<fs::path> UsermodeKernel() { return OwnFile("pyro-usermode-kernel", X_OK); }
Result<fs::path> AgentProgram() { return OwnFile("pyro-agent", X_OK); }
Result<fs::path> NetworkPresets() { return OwnFile("network-presets", R_OK); }
Result<fs::path> DownloadHosts() { return OwnFile("download-hosts", R_OK); }

}  // namespace engine
}  // namespace pyro
