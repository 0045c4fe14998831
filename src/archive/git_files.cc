#include "archive/git_files.h"

#include <sys/stat.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/operation.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListBytes = 1 << 30;
constexpr int kMaxNesting = 20;

constexpr std::string_view kAlternates = "objects/info/alternates";

// What git may know of its caller; nothing else, such as a GIT_DIR of a hook that runs this.
std::vector<std::string> GitEnvironment() {
  std::vector<std::string> environment = {"LC_ALL=C",
                                          "GIT_OPTIONAL_LOCKS=0",
                                          "GIT_TERMINAL_PROMPT=0",
                                          "GIT_NO_LAZY_FETCH=1",
                                          "GIT_ALLOW_PROTOCOL=",
                                          "GIT_SSH_COMMAND=false",
                                          "GIT_ASKPASS=false"};
  for (const char* name : {"PATH", "HOME", "XDG_CONFIG_HOME", "SUDO_UID"}) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(fmt::format("{}={}", name, value));
    }
  }
  return environment;
}

Error Refused(const fs::path& source, std::string_view why) {
  const std::string text = Printable(why.substr(0, why.find('\n')), 400);
  const bool owner = why.find("dubious ownership") != why.npos;
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("git cannot list '{}': {}", Printable(source.native()), text),
                   owner ? "own the directory, or add it to git's safe.directory" : "");
}

Result<std::string> RunGit(const fs::path& git, const fs::path& source,
                           const std::vector<std::string>& words, int cancel_fd) {
  sys::SpawnOptions options;
  // An empty core.fsmonitor is none, also for a git that takes "false" for a program.
  options.argv = {git.native(),      "--no-pager", "--literal-pathspecs",      "-c",
                  "core.fsmonitor=", "-c",         "core.hooksPath=/dev/null", "-C",
                  source.native()};
  options.argv.insert(options.argv.end(), words.begin(), words.end());
  options.env = GitEnvironment();
  PYRO_ASSIGN_OR_RETURN(
      sys::CommandOutput output,
      sys::RunCommand(std::move(options), Deadline::Never(), kMaxListBytes + 1, cancel_fd));
  if (!output.status.success()) return Refused(source, TrimSpace(output.stderr_text));
  if (output.stdout_text.size() <= kMaxListBytes) return std::move(output.stdout_text);
  return MakeError(ErrorCode::kLimit, "git lists too many files");
}

class Lister {
 public:
  Lister(const fs::path& git, fs::path source, int cancel_fd)
      : git_(git), source_(std::move(source)), cancel_fd_(cancel_fd) {}

  // `prefix`: of the repository within the source, "" or with a slash at its end.
  Status List(const std::string& prefix, int nesting) {
    const fs::path directory = source_ / prefix;
    PYRO_ASSIGN_OR_RETURN(
        const std::string list,
        RunGit(git_, directory, {"ls-files", "-z", "--cached", "--others", "--exclude-standard"},
               cancel_fd_));
    files_.whole.insert(prefix + ".git");
    AddParents(prefix + ".git");
    for (std::string_view name : Split(list, '\0')) {
      if (name.empty()) continue;
      // A repository within is listed with a slash if it is not tracked, else as a file is.
      while (name.ends_with('/')) name.remove_suffix(1);
      const std::string full = prefix + std::string(name);
      struct stat info {};
      if (::lstat((source_ / full).c_str(), &info) != 0) continue;  // Deleted, yet tracked.
      AddParents(full);
      if (!S_ISDIR(info.st_mode)) {
        if (files_.files.size() >= kMaxEntries) {
          return MakeError(ErrorCode::kLimit, "git lists too many files");
        }
        files_.files.insert(full);
        continue;
      }
      files_.directories.insert(full);
      if (::lstat((source_ / full / ".git").c_str(), &info) != 0) continue;
      if (nesting == kMaxNesting) {
        return MakeError(ErrorCode::kLimit, "too many repositories lie within each other");
      }
      PYRO_RETURN_IF_ERROR(List(full + "/", nesting + 1));
    }
    return OkStatus();
  }

  GitFiles Take() && { return std::move(files_); }

 private:
  void AddParents(const std::string& name) {
    for (auto slash = name.rfind('/'); slash != name.npos && slash > 0;
         slash = name.rfind('/', slash - 1)) {
      if (!files_.directories.insert(name.substr(0, slash)).second) return;
    }
  }

  const fs::path& git_;
  const fs::path source_;
  const int cancel_fd_;
  GitFiles files_;
};

// Of `path` as seen from the directory `from`, whether it is above the tree's top.
bool LeadsOut(std::string_view from, std::string_view path) {
  if (path.starts_with('/')) return true;
  const fs::path full = (fs::path(from) / path).lexically_normal();
  return !full.empty() && *full.begin() == "..";
}

std::string_view DirectoryOf(std::string_view name) {
  const auto slash = name.rfind('/');
  return slash == name.npos ? std::string_view() : name.substr(0, slash);
}

}  // namespace

Result<GitFiles> ListGitFiles(const fs::path& source, int cancel_fd) {
  PYRO_ASSIGN_OR_RETURN(const fs::path git, sys::FindProgram("git", "apt install git"));
  std::error_code error;
  const fs::path top = fs::canonical(source, error);
  if (error) return sys::ErrnoError(error.value(), "find", source.native());
  PYRO_ASSIGN_OR_RETURN(const std::string up,
                        RunGit(git, top, {"rev-parse", "--show-cdup"}, cancel_fd));
  struct stat info {};
  if (TrimSpace(up).empty() && ::lstat((top / ".git").c_str(), &info) == 0) {
    Lister lister(git, top, cancel_fd);
    PYRO_RETURN_IF_ERROR(lister.List("", 0));
    return std::move(lister).Take();
  }
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is not the top of a git work tree", Printable(source.native())),
      "give the directory that holds .git");
}

bool TellsGitPath(std::string_view name) {
  if (name == ".git" || name.ends_with("/.git")) return true;
  if (!name.ends_with(kAlternates)) return false;
  return name.starts_with(".git/") || name.find("/.git/") != name.npos;
}

std::optional<std::string> GitPathOutside(std::string_view name, std::string_view text,
                                          bool symlink) {
  if (symlink) {
    if (LeadsOut(DirectoryOf(name), text)) return std::string(text);
    return std::nullopt;
  }
  if (name.ends_with(kAlternates)) {
    // Relative ones begin at the directory of objects.
    const std::string_view objects = DirectoryOf(DirectoryOf(name));
    for (const std::string_view line : Split(text, '\n')) {
      if (!line.empty() && line[0] != '#' && LeadsOut(objects, line)) return std::string(line);
    }
    return std::nullopt;
  }
  constexpr std::string_view kPrefix = "gitdir:";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  const std::string_view path = TrimSpace(text.substr(kPrefix.size()));
  if (!LeadsOut(DirectoryOf(name), path)) return std::nullopt;
  return std::string(path);
}

}  // namespace pyro::archive
