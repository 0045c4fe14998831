// A guest's request, whose head gets secrets: no value may get into one for another host, and what
// is passed on must be one request.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "proxy/http.h"
#include "proxy/secrets.h"
#include "proxy/testing/text_stream.h"

using namespace pyro::proxy;

namespace {

constexpr char kValue[] = "value-of-the-secret";

asio::awaitable<void> Pass(Stream& stream, const Origin& origin, bool may_have) {
  Inbox inbox{&stream, {}};
  Secrets secrets({{"TOKEN", "pyro-secret", kValue, {{"api.example", 443}}}});
  for (int i = 0; i < 4; ++i) {
    RequestReader reader(inbox);
    const auto came = co_await reader.ReadHead();
    if (!came || !*came) co_return;
    RequestHead head = reader.head();
    const PutIn put = secrets.PutInto(origin, head);
    RemoveHopFields(head);
    SetBodyForm(head, reader.body_form());
    const std::string text = HeadText(head);
    PYRO_CHECK(may_have || put.kind != PutIn::Kind::kDone);
    const std::size_t end = text.find("\r\n\r\n");
    PYRO_CHECK(end == text.size() - 4);
    PYRO_CHECK(secrets.mask().Hide(text).find(kValue) == std::string::npos);
    while (true) {
      const auto piece = co_await reader.ReadBody();
      if (!piece) co_return;
      if (piece->empty()) break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Origin origin{data[0] % 2 == 0 ? "api.example" : "other.example", 443, data[0] % 4 < 2};
  const bool may_have = data[0] % 2 == 0 && origin.tls;
  TextStream stream(text, static_cast<std::size_t>(data[1]) + 1);
  RunToEnd([&]() -> asio::awaitable<void> { co_await Pass(stream, origin, may_have); });
  return 0;
}
