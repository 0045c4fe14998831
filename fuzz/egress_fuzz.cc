// Frames of a hostile guest, and of any other side, under a policy: none that goes out is for an
// address that is never reached, and with names alone none is for an address that no answer gave.
// Of IPv6 none has headers between its own and the protocol's. Questions for cards are the gate's.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/bytes.h"
#include "net/egress.h"
#include "net/frames.h"
#include "net/neighbours.h"

namespace {

using namespace pyro::net;

class CheckingSink : public FrameSink {
 public:
  void ToGuest(Frame frame) override { PYRO_CHECK(frame.size() >= kMinFrameBytes); }
  void ToOutside(Frame frame) override {
    if (Get16(frame, 12) == kTypeArp) return;
    const auto packet = ParsePacket(frame);
    PYRO_CHECK(packet.has_value() && !packet->extended);
    const Address destination = packet->destination;
    if (packet->protocol == kIcmp6 && packet->payload[0] != kIcmp6Echo) {
      Mac mac;
      std::copy_n(frame.begin() + 6, mac.size(), mac.begin());
      PYRO_CHECK(GatewayRequest6(mac) == std::string(frame.begin(), frame.end()));
      return;
    }
    PYRO_CHECK(destination == kResolver || !IsNever(destination));
    PYRO_CHECK(destination == kResolver || destination == answered || destination == answered6);
  }
  void ToServed(Frame frame) override {
    PYRO_CHECK(Get16(frame, 12) == 0x0800 && Get32(frame, 30) >> 16 == kServedNetwork >> 16);
  }
  Address answered{0xcb007102};
  Address answered6{0x20010db800000000, 2};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CheckingSink sink;
  Egress egress(sink, 1);
  const SteadyTime now = SteadyTime{} + std::chrono::hours(1);
  egress.SetPolicy(*Policy::Parse("allow *.example\nallow 203.0.113.2\nallow 2001:db8::2\n"
                                  "deny 203.0.113.2:25"),
                   LocalNetworks(), now);
  egress.SetIpv6(size % 2 == 0);
  FrameReader reader;
  reader.Feed(std::string_view(reinterpret_cast<const char*>(data), size));
  for (int i = 0;; ++i) {
    auto frame = reader.Next();
    if (!frame.ok() || !*frame) break;
    if ((**frame)[0] % 4 == 3) {
      // Answers of DNS would allow more.
      const auto packet = ParsePacket(**frame);
      if (packet && packet->source == kResolver) continue;
      egress.FromOutside(**frame, now + std::chrono::seconds(i));
    } else {
      egress.FromGuest(**frame, now + std::chrono::seconds(i));
    }
  }
  static_cast<void>(egress.denials().Take(now));
  return 0;
}
