// The configuration of an OCI image, as far as pyro honours it.
//
// It comes from outside: a registry, an archive, or a manifest that another user may have written.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "pyro/result.h"

namespace pyro::image {

inline constexpr std::size_t kMaxImageConfigBytes = 4 << 20;

// A value. All texts are UTF-8 without NUL.
struct ImageConfig {
  std::string architecture;  // Go's name, such as amd64.
  std::string os;
  std::vector<std::string> env;       // NAME=VALUE, each name once.
  std::vector<std::string> unusable;  // Entries of another form, which set nothing; never stored.
  std::string working_dir;            // Absolute, or empty.
  std::string user;  // USER[:GROUP], names or numbers; to be resolved in the guest.
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string stop_signal;  // SIGTERM, RTMIN+3 or a number; or empty.
};

// kDataLoss: longer than kMaxImageConfigBytes, not JSON, or a field of another type or out of its
// limits. Unknown fields are ignored. A relative working directory counts from the root.
Result<ImageConfig> ParseImageConfig(std::string_view json);

// The same form, with these fields alone.
Json ImageConfigToJson(const ImageConfig& config);
Result<ImageConfig> ImageConfigFromJson(const Json& json);

// kInvalidArgument: made for another system or processor than a guest's.
Status CheckRunsInGuests(const ImageConfig& config);

}  // namespace pyro::image
