// What an endpoint and its model say: any bytes are a reply, a call and an address, or an error.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "chat/completion.h"
#include "chat/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::chat;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  PYRO_CHECK(ErrorText(text).size() <= 2000);
  if (const auto url = ParseUrl(text)) {
    const auto again = ParseUrl(url->Text());
    PYRO_CHECK(again.ok() && again->Text() == url->Text());
    PYRO_CHECK(url->Text().find_first_of(" \r\n") == std::string::npos);
  }
  if (const auto reply = ParseReply(text)) {
    PYRO_CHECK(reply->calls.size() <= kMaxToolCalls);
    // The reply to the endpoint is JSON, for any words of the model.
    PYRO_CHECK(pyro::ParseJson(pyro::ToJsonLine(AssistantMessage(*reply)), kMaxReplyBytes * 6));
  }
  if (const auto call = ParseVmRun(text, Network::kRefused)) {
    PYRO_CHECK(!call->network && !call->allow_host_compat && !call->machine);
  }
  return 0;
}
