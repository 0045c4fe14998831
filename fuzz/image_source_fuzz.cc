// The words of `env pull`: any text is a source or an error, and a source is read back as it was
// written. A registry's image has a name that an environment may have.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "image/oci/source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::image;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(StemOf(std::string(text)));
  if (const auto named = CheckImageName(text)) PYRO_CHECK(text.size() <= kMaxImageNameBytes);
  const auto source = ParseImageSource(text);
  if (!source) {
    PYRO_CHECK(source.error().code == pyro::ErrorCode::kInvalidArgument);
    return 0;
  }
  PYRO_CHECK(IsImageSource(text));
  const auto again = ParseImageSource(FormatImageSource(*source));
  PYRO_CHECK(again.ok() && *again == *source);
  const std::string name = NameOf(*source);
  PYRO_CHECK((source->transport == Transport::kRegistry) == !name.empty());
  if (!name.empty()) PYRO_CHECK(CheckImageName(name).ok());
  return 0;
}
