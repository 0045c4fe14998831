// The record of a disk that was made of layers: any bytes are a record or an error, and what is
// written is read back.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "image/oci/layer_store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::image;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto disk = ParseLayerRecord(text);
  if (!disk) {
    PYRO_CHECK(disk.error().code == pyro::ErrorCode::kDataLoss);
    return 0;
  }
  PYRO_CHECK(disk->size > 0 && disk->sha256.size() == 64);
  const auto again = ParseLayerRecord(FormatLayerRecord(*disk));
  PYRO_CHECK(again.ok() && again->left_out == disk->left_out);
  return 0;
}
