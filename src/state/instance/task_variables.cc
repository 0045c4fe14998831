#include "state/instance/task_variables.h"

#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::state {
namespace {

constexpr const char* kVariablesFile = "env";

// Says nothing of what the file holds.
Error BrokenVariables(const std::filesystem::path& path) {
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("the file of a task's variables is broken: '{}'", path.native()),
                   "`pyro task update --unset env` removes it");
}

}  // namespace

Result<std::map<std::string, std::string>> ReadTaskVariables(
    const std::filesystem::path& directory) {
  std::map<std::string, std::string> variables;
  const std::filesystem::path path = directory / kVariablesFile;
  const auto read = sys::ReadFile(path, kMaxTaskVariableBytes);
  if (!read && read.error().code == ErrorCode::kNotFound) return variables;
  if (!read && read.error().code == ErrorCode::kLimit) return BrokenVariables(path);
  if (!read) return read.error();
  std::string_view text = *read;
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

Status WriteTaskVariables(const std::filesystem::path& directory,
                          const std::map<std::string, std::string>& variables) {
  const std::filesystem::path path = directory / kVariablesFile;
  if (variables.empty()) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return OkStatus();
    return sys::ErrnoError(errno, "remove", path.native());
  }
  std::string text;
  for (const auto& [name, value] : variables) text.append(name + "=" + value).push_back('\0');
  if (text.size() > kMaxTaskVariableBytes) {
    return MakeError(ErrorCode::kLimit, "the variables of the task have more than 1 MiB",
                     "a command takes no more: write the data to a file of the guest");
  }
  return sys::WriteFileAtomically(path, text, 0600);
}

}  // namespace pyro::state
