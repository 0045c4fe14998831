// What clients hand back: event ids, base64, request states, cursors, URIs, hosts. None is accepted
// in two spellings.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "mcp/http/http_ladder.h"
#include "mcp/http/sse.h"
#include "mcp/protocol/base64.h"
#include "mcp/protocol/uri_template.h"
#include "mcp/server/paging.h"
#include "mcp/server/state_token.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::mcp;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto id = ParseEventId(text)) PYRO_CHECK(FormatEventId(*id) == text);
  if (const auto bytes = DecodeBase64(text)) PYRO_CHECK(EncodeBase64(*bytes) == text);
  if (const auto bytes = DecodeBase64Url(text)) PYRO_CHECK(EncodeBase64Url(*bytes) == text);
  PYRO_CHECK(DecodeBase64(EncodeBase64(text)) == text);
  static const auto* const sealer =
      new StateSealer(std::chrono::hours(1), pyro::SystemClock(), std::string(32, 'k'));
  PYRO_CHECK(!sealer->Open(text, "call").ok());
  const std::string sealed = sealer->Seal(pyro::Json(std::string(text)), "call");
  PYRO_CHECK(!sealer->Open(sealed, text).ok() || text == "call");

  pyro::Json params = pyro::Json::object();
  params["cursor"] = std::string(text);
  const Outcome page = Page("list", pyro::Json::array({1, 2, 3}), params, 2, {});
  if (const auto* error = std::get_if<RpcError>(&page)) PYRO_CHECK(error->code == kInvalidParams);

  if (const auto parsed = UriTemplate::Parse(text.substr(0, 64))) parsed->Match(text);
  static const auto* const known = new UriTemplate(*UriTemplate::Parse("pyro://tasks/{a}/x/{+b}"));
  known->Match(text);

  const HttpPolicy policy;
  DecodeHeaderValue(text);
  Accepts(text, "text", "event-stream");
  if (HostIsAllowed(text, policy)) {
    PYRO_CHECK(OriginIsAllowed("http://" + std::string(text), policy));
    PYRO_CHECK(text.find_first_of("/@") == std::string_view::npos);
  }
  return 0;
}
