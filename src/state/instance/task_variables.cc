#include "state/instance/task_variables.h"

#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::state {
namespace {

constexpr const char* kVariablesFile = "env";
constexpr const char* kProposedFile = "env.new";
constexpr std::size_t kMaxSettingsBytes = kMaxTaskManifestBytes;

// Says nothing of what the file holds.
Error BrokenVariables(const std::filesystem::path& path) {
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("the file of a task's variables is broken: '{}'", path.native()),
                   "`pyro task update --unset env` removes it");
}

// All that a change of a task changes of its row. The text has no NUL byte.
std::string SettingsOf(const InstanceSpec& task) {
  return ToJsonLine({{"name", task.name},
                     {"labels", task.labels},
                     {"ttl_seconds", task.ttl.count()},
                     {"cwd", task.cwd},
                     {"user", task.user},
                     {"timeout_seconds", task.timeout_seconds.value_or(-1)}});
}

Result<TaskVariables> ParseVariables(std::string_view text, const std::filesystem::path& path) {
  TaskVariables variables;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    const std::size_t equals = text.substr(0, end).find('=');
    if (end == std::string_view::npos || equals == std::string_view::npos || equals == 0) {
      return BrokenVariables(path);
    }
    variables.emplace(text.substr(0, equals), text.substr(equals + 1, end - equals - 1));
    text.remove_prefix(end + 1);
  }
  return variables;
}

Result<std::string> FormatVariables(const TaskVariables& variables) {
  std::string text;
  for (const auto& [name, value] : variables) text.append(name + "=" + value).push_back('\0');
  if (text.size() <= kMaxTaskVariableBytes) return text;
  return MakeError(ErrorCode::kLimit, "the variables of the task have more than 1 MiB",
                   "a command takes no more: write the data to a file of the guest");
}

// The text of the variables that were proposed for the row as it is. nullopt: there are none.
Result<std::optional<std::string>> ReadProposed(const std::filesystem::path& directory,
                                                const InstanceSpec& task) {
  auto read =
      sys::ReadFile(directory / kProposedFile, kMaxSettingsBytes + 1 + kMaxTaskVariableBytes);
  const auto without = [&] {
    return read.error().code == ErrorCode::kNotFound || read.error().code == ErrorCode::kLimit;
  };
  if (!read && without()) return std::optional<std::string>();
  if (!read) return std::move(read).error();
  const std::size_t end = read->find('\0');
  if (end == std::string::npos || read->substr(0, end) != SettingsOf(task)) {
    return std::optional<std::string>();
  }
  return read->substr(end + 1);
}

Status RemoveFile(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return OkStatus();
  return sys::ErrnoError(errno, "remove", path.native());
}

// No text, no file.
Status WriteText(const std::filesystem::path& path, const std::string& text) {
  return text.empty() ? RemoveFile(path) : sys::WriteFileAtomically(path, text, 0600);
}

}  // namespace

Result<TaskVariables> ReadTaskVariables(const std::filesystem::path& directory,
                                        const InstanceSpec& task) {
  PYRO_ASSIGN_OR_RETURN(const auto proposed, ReadProposed(directory, task));
  if (proposed) return ParseVariables(*proposed, directory / kProposedFile);
  const std::filesystem::path path = directory / kVariablesFile;
  const auto read = sys::ReadFile(path, kMaxTaskVariableBytes);
  if (!read && read.error().code == ErrorCode::kNotFound) return TaskVariables();
  if (!read && read.error().code == ErrorCode::kLimit) return BrokenVariables(path);
  if (!read) return read.error();
  return ParseVariables(*read, path);
}

Status WriteTaskVariables(const std::filesystem::path& directory, const TaskVariables& variables) {
  PYRO_ASSIGN_OR_RETURN(const std::string text, FormatVariables(variables));
  return WriteText(directory / kVariablesFile, text);
}

Status ProposeTaskVariables(const std::filesystem::path& directory, const InstanceSpec& task,
                            const TaskVariables& variables) {
  PYRO_ASSIGN_OR_RETURN(const std::string text, FormatVariables(variables));
  return sys::WriteFileAtomically(directory / kProposedFile, SettingsOf(task) + '\0' + text, 0600);
}

Status SettleTaskVariables(const std::filesystem::path& directory, const InstanceSpec& task) {
  const std::filesystem::path path = directory / kProposedFile;
  if (::access(path.c_str(), F_OK) != 0) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const auto proposed, ReadProposed(directory, task));
  if (proposed) PYRO_RETURN_IF_ERROR(WriteText(directory / kVariablesFile, *proposed));
  PYRO_RETURN_IF_ERROR(RemoveFile(path));
  // After a power cut it must not come back to a row that has these settings again.
  return sys::SyncDirectory(directory);
}

}  // namespace pyro::state
