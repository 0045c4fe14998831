// The guest's network card: frames of any content are cut up without a fault, and none that may
// leave is for the host's loopback. A refusal is a packet itself.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/bytes.h"
#include "net/frames.h"
#include "net/neighbours.h"
#include "net/policy.h"
#include "net/refusal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::net;
  FrameReader reader;
  reader.Feed(std::string_view(reinterpret_cast<const char*>(data), size));
  while (true) {
    auto frame = reader.Next();
    if (!frame.ok() || !*frame) break;
    PYRO_CHECK((*frame)->size() >= kMinFrameBytes && (*frame)->size() <= kMaxFrameBytes);
    static_cast<void>(IsGatewayReply(**frame));
    static_cast<void>(IsGatewayReply6(**frame));
    static_cast<void>(MayArrive(**frame));
    if (const auto packet = ParsePacket(**frame)) {
      static_cast<void>(ChecksumIsRight(*packet));
      static_cast<void>(NeighbourAsked(*packet));
      const auto refusal = Refusal(**frame, *packet);
      PYRO_CHECK(!refusal || ParsePacket(AsBytes(*refusal)).has_value());
    }
    if (!MayLeave(**frame) || Get16(**frame, 12) == kTypeArp) continue;
    const auto packet = ParsePacket(**frame);
    if (packet) PYRO_CHECK(packet->destination == kResolver || !IsNever(packet->destination));
  }
  static_cast<void>(MayLeave(Frame(data, size)));
  static_cast<void>(MayArrive(Frame(data, size)));
  return 0;
}
