// The cached verdict about the accelerator: any file is a verdict or none, and what is written is
// read back.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "vmm/accelerator.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::vmm;
  const pyro::Json key = pyro::Json::object();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto verdict = ParseVerdict(text, key)) {
    PYRO_CHECK(ParseVerdict(FormatVerdict(*verdict, key), key) == verdict);
  }
  return 0;
}
