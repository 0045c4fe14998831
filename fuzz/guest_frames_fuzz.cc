// The guest's network card: frames of any content are cut up without a fault, and none that may
// leave is for the host's loopback.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::net;
  FrameReader reader;
  reader.Feed(std::string_view(reinterpret_cast<const char*>(data), size));
  while (true) {
    auto frame = reader.Next();
    if (!frame.ok() || !*frame) break;
    PYRO_CHECK((*frame)->size() >= kMinFrameBytes && (*frame)->size() <= kMaxFrameBytes);
    static_cast<void>(IsGatewayReply(**frame));
    static_cast<void>(MayArrive(**frame));
    if (!MayLeave(**frame) || (**frame)[12] != 8 || (**frame)[13] != 0) continue;
    PYRO_CHECK((**frame)[30] != 127 && (**frame)[30] != 0);
  }
  static_cast<void>(MayLeave(Frame(data, size)));
  static_cast<void>(MayArrive(Frame(data, size)));
  return 0;
}
