// A server's answer to a request with a secret: what the guest gets of it is one answer, and its
// head has no value of a secret.

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

asio::awaitable<void> Pass(Stream& stream, bool without_body) {
  Inbox inbox{&stream, {}};
  Secrets secrets({{"TOKEN", "pyro-secret", kValue, {{"api.example", 443}}}});
  for (int i = 0; i < 4; ++i) {
    ResponseReader reader(inbox, without_body);
    const auto came = co_await reader.ReadHead();
    if (!came || !*came) co_return;
    ResponseHead head = reader.head();
    RemoveHopFields(head);
    SetBodyForm(head, reader.body_form());
    const std::string text = secrets.mask().Hide(HeadText(head));
    PYRO_CHECK(text.starts_with("HTTP/1.1 "));
    PYRO_CHECK(text.find("\r\n\r\n") == text.size() - 4);
    PYRO_CHECK(text.find(kValue) == std::string::npos);
    std::size_t bytes = 0;
    while (true) {
      const auto piece = co_await reader.ReadBody();
      if (!piece) co_return;
      if (piece->empty()) break;
      bytes += piece->size();
    }
    if (reader.body_form().kind == BodyForm::Kind::kLength && !without_body) {
      PYRO_CHECK(bytes == reader.body_form().length);
    }
    if (!reader.keep_alive()) co_return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  TextStream stream(text, static_cast<std::size_t>(data[1]) + 1);
  RunToEnd([&]() -> asio::awaitable<void> { co_await Pass(stream, data[0] % 4 == 0); });
  return 0;
}
