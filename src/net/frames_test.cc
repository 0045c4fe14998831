#include "net/frames.h"

#include <gtest/gtest.h>

namespace pyro::net {
namespace {

constexpr Mac kMac = {0x52, 0x54, 0, 1, 2, 3};

Frame AsFrame(const std::string& text) {
  return Frame(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

std::string Ip(Ipv4 source, Ipv4 destination, int protocol = 17, int port = 80) {
  std::string frame(12, '\x02');
  for (const int byte : {8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0}) {
    frame.push_back(static_cast<char>(byte));
  }
  for (const Ipv4 address : {source, destination}) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      frame.push_back(static_cast<char>(address >> shift));
    }
  }
  for (const int byte : {1, 1, port >> 8, port & 0xff, 0, 8, 0, 0}) {
    frame.push_back(static_cast<char>(byte));
  }
  return frame;
}

bool Passes(const std::string& frame) { return MayLeave(AsFrame(frame)); }

TEST(FramesTest, AnySplitOfTheStreamGivesTheSameFrames) {
  const std::string first(60, 'a');
  const std::string second(1514, 'b');
  std::string stream;
  AppendFrame(stream, AsFrame(first));
  AppendFrame(stream, AsFrame(second));
  for (std::size_t step = 1; step < stream.size(); ++step) {
    FrameReader reader;
    std::vector<std::string> frames;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      reader.Feed(std::string_view(stream).substr(at, step));
      while (true) {
        auto next = reader.Next();
        ASSERT_TRUE(next.ok());
        if (!*next) break;
        frames.emplace_back((*next)->begin(), (*next)->end());
      }
    }
    ASSERT_EQ(frames, (std::vector<std::string>{first, second})) << step;
  }
}

TEST(FramesTest, ImpossibleLengthsBreakTheStreamForGood) {
  for (const std::string& start : {std::string("\xff\xff\xff\xff", 4), std::string("\0\0\0\x05", 4),
                                   std::string("\0\x01\0\x0f", 4)}) {
    FrameReader reader;
    reader.Feed(start);
    EXPECT_FALSE(reader.Next().ok());
    reader.Feed(std::string(100, '\0'));
    EXPECT_FALSE(reader.Next().ok());
  }
}

TEST(FramesTest, TheOutsideIsReached) {
  EXPECT_TRUE(Passes(Ip(kGuest, 0x01010101)));
  EXPECT_TRUE(Passes(Ip(kGuest, 0x0a000301)));
  EXPECT_TRUE(Passes(Ip(kGuest, 0xc0a80001, 6)));
  EXPECT_TRUE(Passes(Ip(kGuest, 0xdfffffff, 1)));
}

TEST(FramesTest, TheHostsOwnAddressesAreNot) {
  for (const Ipv4 address : {0x7f000001u, 0x7f000035u, 0x7fffffffu, 0u, 0x00000001u, 0xa9fea9feu,
                             0xe0000001u, 0xffffffffu, kGateway, kGuest, kNetwork + 77}) {
    EXPECT_FALSE(Passes(Ip(kGuest, address))) << std::hex << address;
    EXPECT_FALSE(Passes(Ip(kGuest, address, 6))) << std::hex << address;
    EXPECT_FALSE(Passes(Ip(kGuest, address, 1))) << std::hex << address;
  }
}

TEST(FramesTest, TheResolverAnswersItsPortOnly) {
  EXPECT_TRUE(Passes(Ip(kGuest, kResolver, 17, 53)));
  EXPECT_TRUE(Passes(Ip(kGuest, kResolver, 6, 53)));
  EXPECT_FALSE(Passes(Ip(kGuest, kResolver, 17, 69)));
  EXPECT_FALSE(Passes(Ip(kGuest, kResolver, 1, 53)));
  std::string fragment = Ip(kGuest, kResolver, 17, 53);
  fragment[14 + 6] = 0x20;
  EXPECT_FALSE(Passes(fragment));
}

TEST(FramesTest, FalseSendersOptionsAndOtherProtocolsAreDropped) {
  EXPECT_FALSE(Passes(Ip(0x7f000001, 0x01010101)));
  EXPECT_FALSE(Passes(Ip(0x0a000210, 0x01010101)));
  std::string options = Ip(kGuest, 0x01010101);
  options[14] = 0x46;  // Room for a source route.
  EXPECT_FALSE(Passes(options));
  std::string six = Ip(kGuest, 0x01010101);
  six[12] = '\x86';
  six[13] = '\xdd';
  EXPECT_FALSE(Passes(six));
  std::string vlan = Ip(kGuest, 0x01010101);
  vlan[12] = '\x81';
  EXPECT_FALSE(Passes(vlan));
}

TEST(FramesTest, CutOffFramesAreDropped) {
  const std::string whole = Ip(kGuest, 0x01010101);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(Passes(whole.substr(0, size)));
  const std::string arp = GatewayRequest(kMac);
  EXPECT_TRUE(Passes(arp));
  for (std::size_t size = 0; size < arp.size(); ++size) EXPECT_FALSE(Passes(arp.substr(0, size)));
}

TEST(FramesTest, ATcpSegmentWithoutAFlagDoesNotArriveAndAllElseDoes) {
  const auto segment = [](int flags, int protocol = 6) {
    std::string frame = Ip(0x01010101, kGuest, protocol);
    frame.resize(14 + 20 + 20, '\0');
    frame[14 + 20 + 12] = 0x50;
    frame[14 + 20 + 13] = static_cast<char>(flags);
    return frame;
  };
  EXPECT_FALSE(MayArrive(AsFrame(segment(0))));
  EXPECT_FALSE(MayArrive(AsFrame(segment(0xc0))));  // Of congestion alone.
  for (const int flags : {0x01, 0x02, 0x04, 0x08, 0x10, 0x12, 0x20}) {
    EXPECT_TRUE(MayArrive(AsFrame(segment(flags)))) << flags;
  }
  EXPECT_TRUE(MayArrive(AsFrame(segment(0, 17))));
  std::string later = segment(0);
  later[14 + 7] = 1;
  EXPECT_TRUE(MayArrive(AsFrame(later))) << "its bytes there are data";
  std::string options = segment(0);
  options[14] = 0x46;
  options.insert(14 + 20, 4, '\x01');
  EXPECT_FALSE(MayArrive(AsFrame(options)));
  const std::string whole = segment(0);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(MayArrive(AsFrame(whole.substr(0, size)))) << "the guest judges what is cut off";
  }
  EXPECT_TRUE(MayArrive(AsFrame(GatewayRequest(kMac))));
}

TEST(FramesTest, TheGatewaysReplyIsKnown) {
  std::string reply = GatewayRequest(kMac);
  EXPECT_FALSE(IsGatewayReply(AsFrame(reply)));
  reply[21] = 2;
  reply[28] = 10;
  reply[29] = 0;
  reply[30] = 2;
  reply[31] = 2;
  EXPECT_TRUE(IsGatewayReply(AsFrame(reply)));
}

}  // namespace
}  // namespace pyro::net
