// The configuration file: any text is settings or none, and what is written is read back.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "engine/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using pyro::engine::Settings;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto settings = Settings::Parse(text);
  if (!settings) return 0;
  for (const pyro::Setting& one : settings->List()) {
    const auto again = Settings::Parse(settings->Format());
    PYRO_CHECK(again.ok() && again->ValueOf(one.name) == one.value);
    PYRO_CHECK(settings->Set(one.name, one.usual).ok());
    PYRO_CHECK(Settings::Parse(settings->Format())->ValueOf(one.name) == one.usual);
    PYRO_CHECK(settings->Unset(one.name).ok() && settings->ValueOf(one.name).empty());
  }
  return 0;
}
