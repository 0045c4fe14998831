#include "engine/host/host_program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "engine/host/host_compat.h"
#include "engine/requests.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::array<std::string_view, 5> kEmptied = {"/home", "/root", "/run", "/tmp", "/var/tmp"};

bool IsBelow(const fs::path& path, std::string_view directory) {
  const fs::path relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
}

// Where a path of the jail is on the host; nothing if the jail has an empty directory there.
std::optional<fs::path> OnHost(const fs::path& workspace, const fs::path& path) {
  if (IsBelow(path, kWorkspace)) return workspace / path.lexically_relative(kWorkspace);
  const bool emptied = std::any_of(kEmptied.begin(), kEmptied.end(),
                                   [&](std::string_view one) { return IsBelow(path, one); });
  return emptied ? std::nullopt : std::optional(path);
}

// What exec says of one file; 0: it is a program.
int WhyNoProgram(const fs::path& workspace, const fs::path& path) {
  const auto file = OnHost(workspace, path);
  struct stat info {};
  if (!file) return ENOENT;
  if (::stat(file->c_str(), &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if (!S_ISREG(info.st_mode) || ::access(file->c_str(), X_OK) != 0) return EACCES;
  std::string line(256, '\0');
  std::ifstream(*file, std::ios::binary)
      .getline(line.data(), static_cast<std::streamsize>(line.size()));
  if (!line.starts_with("#!")) return 0;
  const auto words = Split(TrimSpace(std::string_view(line.c_str()).substr(2)), ' ');
  const auto interpreter = OnHost(workspace, fs::path(words.front()));
  return interpreter && ::access(interpreter->c_str(), X_OK) == 0 ? 0 : ELIBACC;
}

// 0, or why the jail's shell could not enter the directory.
int WhyNoDirectory(const fs::path& workspace, const fs::path& cwd) {
  const auto directory = OnHost(workspace, cwd);
  if (!directory) {
    const bool is_one = std::any_of(kEmptied.begin(), kEmptied.end(), [&](std::string_view one) {
      return cwd.lexically_relative(one) == ".";
    });
    return is_one ? 0 : kNoDirectory;
  }
  struct stat info {};
  if (::stat(directory->c_str(), &info) == 0) return S_ISDIR(info.st_mode) ? 0 : kCwdNotDirectory;
  if (errno == ENOTDIR) return kCwdNotDirectory;
  return errno == EACCES ? 0 : kNoDirectory;  // It may be there: the jail's shell says more.
}

}  // namespace

int WhyNotStarted(const fs::path& workspace, const wire::Exec& command) {
  const auto from_cwd = [&](const fs::path& path) {
    return (fs::path(command.cwd) / path).lexically_normal();
  };
  const int number = WhyNoDirectory(workspace, fs::path(command.cwd).lexically_normal());
  if (number != 0) return number;
  const std::string& program = command.argv.front();
  if (program.find('/') != std::string::npos) return WhyNoProgram(workspace, from_cwd(program));
  std::string_view search = kDefaultPath;
  for (const auto& [name, value] : command.env) {
    if (name == "PATH") search = value;
  }
  int why = ENOENT;
  for (const std::string_view directory : Split(search, ':')) {
    const int found = WhyNoProgram(workspace, from_cwd(fs::path(directory) / program));
    if (found == 0) return 0;
    if (found == EACCES || found == ELIBACC) why = found;
  }
  return why;
}

}  // namespace pyro::engine
