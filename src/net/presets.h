// Names for sets of hosts: lines of "@NAME HOST[:PORT]". Pure.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro::net {

inline constexpr std::size_t kMaxPresetsBytes = 64 * 1024;

// HOST[:PORT]s by @NAME.
using Presets = std::map<std::string, std::vector<std::string>, std::less<>>;

// '#' begins a comment. kInvalidArgument names the line.
Result<Presets> ParsePresets(std::string_view text);

}  // namespace pyro::net
