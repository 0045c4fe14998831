// What a call says of a secret, and what a registry or a manifest has of them.

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "engine/secrets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::engine;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto secret = ParseSecret(text)) {
    secret->placeholder = "pyro-secret-1";
    const auto again = ParseSecretReferences(FormatSecretReferences({*secret}));
    PYRO_CHECK(again.ok() && again->size() == 1);
    PYRO_CHECK(FormatSecret(again->front()) == FormatSecret(*secret));
    PYRO_CHECK(again->front().placeholder == secret->placeholder);
  }
  if (const auto secrets = ParseSecretReferences(text)) {
    PYRO_CHECK(ParseSecretReferences(FormatSecretReferences(*secrets)).ok());
  }
  return 0;
}
