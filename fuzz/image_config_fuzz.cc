// An image's configuration: any bytes are a configuration or an error, and what a manifest keeps of
// it is read back as it was.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "image/oci/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::image;
  const auto config = ParseImageConfig(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!config) {
    PYRO_CHECK(config.error().code == pyro::ErrorCode::kDataLoss);
    return 0;
  }
  PYRO_CHECK(config->working_dir.empty() || config->working_dir.front() == '/');
  for (const auto& variable : config->env) {
    PYRO_CHECK(variable.find('=') != std::string::npos && variable.front() != '=');
  }
  const pyro::Json json = ImageConfigToJson(*config);
  const auto again = ImageConfigFromJson(json);
  PYRO_CHECK(again.ok() && ImageConfigToJson(*again) == json);
  return 0;
}
