// An environment's manifest: any bytes are a manifest or an error, file names never leave their
// directory, and what is written is read back.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "image/store/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::image;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = ParseManifest(text);
  if (!manifest) {
    PYRO_CHECK(manifest.error().code == pyro::ErrorCode::kDataLoss);
    return 0;
  }
  PYRO_CHECK(manifest->base.name.find('/') == std::string::npos);
  for (const auto& layer : manifest->layers) {
    PYRO_CHECK(layer.name.find('/') == std::string::npos);
  }
  for (const auto& module : manifest->modules) {
    PYRO_CHECK(module.name.find('/') == std::string::npos);
  }
  const auto again = ParseManifest(FormatManifest(*manifest));
  PYRO_CHECK(again.ok() && ContentDigest(*again) == ContentDigest(*manifest));
  return 0;
}
