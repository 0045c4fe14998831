#include "net/presets.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "net/policy.h"

namespace pyro::net {

Result<Presets> ParsePresets(std::string_view text) {
  if (text.size() > kMaxPresetsBytes) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the presets have more than {} bytes", kMaxPresetsBytes));
  }
  Presets presets;
  int number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    line = TrimSpace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::size_t space = line.find_first_of(" \t");
    const std::string_view host =
        space == std::string_view::npos ? "" : TrimSpace(line.substr(space));
    const std::string_view name = line.substr(0, space);
    if (!name.starts_with('@') || name.size() < 2 || !ParseRule(true, host)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("line {} of the presets is not '@NAME HOST[:PORT]'", number));
    }
    presets[std::string(name)].emplace_back(host);
  }
  return presets;
}

}  // namespace pyro::net
