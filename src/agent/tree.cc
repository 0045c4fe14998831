#include "agent/tree.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/file_digest.h"
#include "sys/files.h"
#include "sys/tree_steps.h"
#include "wire/trees.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kWriteAt = 256 * 1024;
constexpr std::size_t kMaxNames = 64 << 20;  // Bytes.

int ByName(const FTSENT** a, const FTSENT** b) {
  return std::strcmp((*a)->fts_name, (*b)->fts_name);
}

char TypeOf(mode_t mode) {
  if (S_ISREG(mode)) return 'f';
  if (S_ISDIR(mode)) return 'd';
  return S_ISLNK(mode) ? 'l' : 'o';
}

std::int64_t Nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::string TargetOf(const FTSENT& entry) {
  std::string target(static_cast<std::size_t>(std::max<off_t>(entry.fts_statp->st_size, 0)) + 1,
                     '\0');
  const ssize_t n = ::readlink(entry.fts_accpath, target.data(), target.size());
  target.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return target;
}

// A descriptor of the regular file, or an invalid one.
sys::UniqueFd OpenRegular(int directory, const char* name) {
  sys::UniqueFd file = sys::OpenBelow(directory, name, O_RDONLY | O_NONBLOCK);
  struct stat info {};
  if (!file.valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return sys::UniqueFd();
  }
  return file;
}

}  // namespace

Status WriteTree(const char* directory, int fd) {
  char* const roots[] = {const_cast<char*>(directory), nullptr};
  const std::unique_ptr<FTS, int (*)(FTS*)> walk(::fts_open(roots, FTS_PHYSICAL | FTS_XDEV, ByName),
                                                 ::fts_close);
  if (!walk) return sys::ErrnoError(errno, "walk", directory);
  const std::size_t root = std::strlen(directory);
  std::string text;
  while (const FTSENT* entry = ::fts_read(walk.get())) {
    // Those that cannot be read are listed, and what is below them is not.
    if (entry->fts_level == 0 || entry->fts_info == FTS_DP || entry->fts_info == FTS_NS) continue;
    const struct stat& info = *entry->fts_statp;
    text +=
        fmt::format("{} {} {} {} {} {}", TypeOf(info.st_mode), info.st_mode & 07777, info.st_size,
                    Nanoseconds(info.st_mtim), Nanoseconds(info.st_ctim), info.st_ino);
    text += '\0';
    text += std::string_view(entry->fts_path, entry->fts_pathlen).substr(root + 1);
    text += '\0';
    if (S_ISLNK(info.st_mode)) text += TargetOf(*entry);
    text += '\0';
    if (text.size() < kWriteAt) continue;
    PYRO_RETURN_IF_ERROR(sys::WriteAll(fd, text));
    text.clear();
  }
  return sys::WriteAll(fd, text);
}

Status WriteFiles(const char* directory, bool digest, int in, int out) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd root, sys::OpenFile(directory, O_RDONLY | O_DIRECTORY));
  PYRO_ASSIGN_OR_RETURN(const std::string names, sys::ReadAll(in, kMaxNames));
  for (std::size_t at = 0; at < names.size();) {
    const char* const name = names.c_str() + at;
    at += std::strlen(name) + 1;
    const sys::UniqueFd file = OpenRegular(root.get(), name);
    std::string answer;
    if (file.valid() && digest) {
      if (const auto value = sys::DigestOfFile(file.get())) answer = fmt::format("{}\n", *value);
    } else if (file.valid()) {
      // One that grows meanwhile is told as it was.
      const auto content = sys::ReadAll(file.get(), wire::kMaxShownFile);
      if (content) answer = fmt::format("{}\n{}", content->size(), *content);
    }
    PYRO_RETURN_IF_ERROR(sys::WriteAll(out, answer.empty() ? "-\n" : answer));
  }
  return OkStatus();
}

Status ApplySteps(const char* directory, const char* stage_name, int in, int out) {
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadAll(in, wire::kMaxTreeBytes));
  PYRO_ASSIGN_OR_RETURN(const auto steps, wire::ReadSteps(text));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd root, sys::OpenFile(directory, O_RDONLY | O_DIRECTORY));
  const sys::UniqueFd stage = sys::OpenBelow(root.get(), stage_name, O_RDONLY | O_DIRECTORY);
  if (!stage.valid()) return sys::ErrnoError(errno, "open", stage_name);
  // A guest that dies must not leave the names of empty files.
  if (::syncfs(stage.get()) != 0) return sys::ErrnoError(errno, "sync", directory);
  auto refused = sys::CarryOutSteps(root.get(), stage.get(), steps, directory);
  const Status removed = sys::RemoveTree(std::string(directory) + "/" + stage_name);
  if (!refused) return std::move(refused).error();
  PYRO_RETURN_IF_ERROR(removed);
  return sys::WriteAll(out, wire::WriteRefusals(*refused));
}

int RunTreeProgram(std::span<char* const> words) {
  const std::string_view what = words.empty() ? "" : words[0];
  if (words.size() != (what == "apply" ? 3 : 2)) return 2;
  const Status done = what == "tree" ? WriteTree(words[1], STDOUT_FILENO)
                      : what == "apply"
                          ? ApplySteps(words[1], words[2], STDIN_FILENO, STDOUT_FILENO)
                          : WriteFiles(words[1], what == "digests", STDIN_FILENO, STDOUT_FILENO);
  if (done) return 0;
  (void)sys::WriteAll(STDERR_FILENO, done.error().message + "\n");
  return 1;
}

}  // namespace pyro::agent
