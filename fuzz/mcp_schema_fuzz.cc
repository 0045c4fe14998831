// {"schema", "value"}: any schema is compiled or refused, any value fits or does not, in bounded
// time.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "mcp/protocol/message.h"
#include "mcp/schema/schema.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::mcp;
  auto input = pyro::ParseJson(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!input) return 0;
  const pyro::Json* schema = Find(*input, "schema");
  const pyro::Json* value = Find(*input, "value");
  if (schema == nullptr || value == nullptr) return 0;
  const auto compiled = Schema::Compile(*schema);
  if (!compiled) {
    PYRO_CHECK(compiled.error().code == pyro::ErrorCode::kInvalidArgument);
    return 0;
  }
  ViolationsText(compiled->Validate(*value));
  ViolationsText(compiled->Validate(*schema));
  return 0;
}
