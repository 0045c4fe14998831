// Words of docker, podman and ssh that pyro does not have, and their replacements.

#pragma once

#include <functional>
#include <optional>
#include <string_view>

namespace pyro::cli {

struct OtherOption {
  // The option of pyro with the same meaning; empty: there is none.
  std::string_view ours;
  // The replacement, if `ours` is empty or the command does not have it. Empty: it has it.
  std::string_view hint;
};

// `name`: with its dashes, without a value. `has`: whether the command has an option of pyro.
// nullopt: an unknown option.
std::optional<OtherOption> FindOtherOption(std::string_view name,
                                           const std::function<bool(std::string_view option)>& has);

// The command of pyro, such as "task exec", for the command of another program; empty: an unknown
// command. `group`: "" or a last word, such as "task" or "files".
std::string_view FindOtherCommand(std::string_view group, std::string_view name);

}  // namespace pyro::cli
