// The guest's files of users: any text gives a user whom the kernel can be asked for, or none.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/users.h"
#include "base/check.h"
#include "base/command.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return 0;
  const std::string_view rest = text.substr(line + 1);
  const std::size_t middle = rest.find('\0');
  const std::string_view group =
      middle == std::string_view::npos ? std::string_view() : rest.substr(middle + 1);
  const auto user = pyro::agent::ParseUser(text.substr(0, line), rest.substr(0, middle), group);
  if (!user) {
    PYRO_CHECK(user.error().sys_errno >= pyro::kNoUser);
    return 0;
  }
  PYRO_CHECK(user->ids.uid != UINT32_MAX && user->ids.gid != UINT32_MAX);
  PYRO_CHECK(!user->ids.groups.empty() && !user->name.empty() && !user->home.empty());
  PYRO_CHECK(user->home.find('\0') == std::string::npos);
  return 0;
}
