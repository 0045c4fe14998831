// The bytes of one HTTP request, through the parser, the ladder and the sessions: what comes out is
// an answer with a status and a JSON body, or a stream that can be read to its end.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "mcp/http/http_connection.h"
#include "mcp/http/http_service.h"
#include "mcp/server/server.h"
#include "mcp/testing/fixture.h"

namespace {

using namespace pyro::mcp;

struct Fixture {
  Fixture() {
    testing::AddContentTools(server);
    testing::AddInputTools(server);
    testing::AddResources(server);
    testing::AddPrompts(server);
  }
  static ServerOptions Options() {
    ServerOptions options;
    options.name = "fuzz";
    options.version = "1";
    options.limits.calls_per_second = 100'000'000;
    options.limits.answer_wait = std::chrono::milliseconds(0);
    return options;
  }
  static HttpOptions Http() {
    HttpOptions options;
    options.limits.sessions = 4;
    return options;
  }

  Server server{Options()};
  HttpService service{server.core(), Http()};
};

void CheckAnswer(const HttpAnswer& answer) {
  PYRO_CHECK(answer.status >= 200 && answer.status < 600);
  PYRO_CHECK(answer.body.empty() || pyro::ParseJson(answer.body).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Fixture* const fixture = new Fixture;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HttpLimits limits;
  limits.body_bytes = 2048;
  limits.header_bytes = 1024;
  auto request = ParseHttpRequest(bytes, limits);
  if (!request) return 0;
  if (const auto refused = CheckHead(*request, fixture->service.policy())) {
    CheckAnswer(*refused);
    return 0;
  }
  auto served = fixture->service.Serve(*std::move(request), [] {});
  if (const auto* answer = std::get_if<HttpAnswer>(&served)) {
    CheckAnswer(*answer);
    return 0;
  }
  const auto& streaming = std::get<HttpStreaming>(served);
  PYRO_CHECK(fixture->server.core().WaitIdle(std::chrono::seconds(5)));
  if (!streaming.at_once && streaming.stream->opening() == HttpStream::Opening::kAnswer) {
    PYRO_CHECK(pyro::ParseJson(streaming.stream->TakeAnswer().json).ok());
    if (streaming.answered_whole) streaming.answered_whole();
  } else {
    streaming.stream->Take(streaming.ticket);
  }
  fixture->service.Done(streaming, /*gone=*/true);
  return 0;
}
