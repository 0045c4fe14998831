#include "front/cli/variables.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "base/try.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kMaxFileBytes = 1024 * 1024;  // No command takes more.
constexpr const char* kForm = "give NAME=VALUE, or NAME alone for its value here";

// NAME=VALUE or NAME. False: there is no name, or it holds a space.
bool AddOne(std::string_view text, Variables& variables) {
  const std::size_t equals = text.find('=');
  const std::string name(text.substr(0, equals));
  if (name.empty() || name.find_first_of(" \t\v\f\r\n") != std::string::npos) return false;
  if (equals != std::string_view::npos) {
    variables[name] = text.substr(equals + 1);
  } else if (const char* const ours = ::getenv(name.c_str()); ours != nullptr) {
    variables[name] = ours;
  }
  return true;
}

Error NoSuchFile(const std::string& path, int number) {
  return MakeError(number == ENOENT   ? ErrorCode::kNotFound
                   : number == EACCES ? ErrorCode::kPermissionDenied
                                      : ErrorCode::kInvalidArgument,
                   fmt::format("--env-file '{}' cannot be read: {}", Printable(path),
                               std::generic_category().message(number)),
                   "name a file with one NAME=VALUE in a line");
}

Result<std::string> ReadWhole(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) return NoSuchFile(path, errno);
  std::string text(kMaxFileBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return NoSuchFile(path, errno);
  if (text.size() <= kMaxFileBytes) return text;
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("--env-file '{}' is larger than 1 MiB", Printable(path)),
                   "a command takes no more: write the data to a file of the guest");
}

}  // namespace

void AddVariables(CLI::App* command, VariableFlags& flags, const char* text) {
  command->add_option("--env", flags.env, text)->type_name("NAME=VALUE")->allow_extra_args(false);
  command
      ->add_option("--env-file", flags.env_files,
                   "Give it the lines NAME=VALUE of a file; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

Status AddFromText(std::string_view text, std::string_view file, Variables& variables) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  int number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t begin = line.find_first_not_of(" \t\v\f\r");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    if (line.find('\0') == std::string_view::npos && AddOne(line.substr(begin), variables))
      continue;
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("line {} of --env-file '{}' is no variable", number, Printable(file)),
        "write NAME=VALUE in one line: no space in the name, no quotes around the "
        "value, no line's end in it");
  }
  return OkStatus();
}

Result<Variables> ReadVariables(const VariableFlags& flags) {
  Variables variables;
  for (const std::string& path : flags.env_files) {
    PYRO_ASSIGN_OR_RETURN(const std::string text, ReadWhole(path));
    PYRO_RETURN_IF_ERROR(AddFromText(text, path, variables));
  }
  for (std::size_t i = 0; i < flags.env.size(); ++i) {
    if (AddOne(flags.env[i], variables)) continue;
    const std::string which = flags.env.size() == 1 ? "" : fmt::format(" number {}", i + 1);
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("--env{} has no name, or a space in its name", which), kForm);
  }
  return variables;
}

bool LooksLikeVariable(std::string_view word) {
  constexpr std::string_view kNameCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
  const std::size_t end = word.find_first_not_of(kNameCharacters);
  return end != std::string_view::npos && end > 0 && word[end] == '=' &&
         (word[0] < '0' || word[0] > '9');
}

}  // namespace pyro::cli
