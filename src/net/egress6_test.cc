// IPv6: what leaves, what is refused and how, and neighbour discovery.

#include <gtest/gtest.h>

#include "net/neighbours.h"
#include "net/testing/egress_fixture.h"

namespace pyro::net {
namespace {

constexpr Address kServer6{0x20010db800000000, 2};  // 2001:db8::2
constexpr Address kOther6{0x20010db800000000, 3};
constexpr Address kOwnLink{0xfe80000000000000, 0x5054};
constexpr Address kAllRouters{0xff02000000000000, 2};

class Egress6Test : public EgressTest {
 protected:
  Egress6Test() {
    egress_.SetIpv6(true);
    Guest(Udp(kOther6, 9));  // The back end knows the card from here on.
    Clear();
    static_cast<void>(Denied());
  }

  static std::string Udp(const Address& to, std::uint16_t port, std::string_view data = "x") {
    return MakeUdp(kFromGuest, {kGuest6, 4000, to, port}, data);
  }

  std::string Syn(const Address& to, std::uint16_t port) {
    return TcpFrame(kFromGuest,
                    {.ends = {kGuest6, ++guest_port_, to, port}, .sequence = 100, .flags = kTcpSyn},
                    "");
  }

  std::string Segment6(const Address& to, std::uint16_t port, std::string_view data) const {
    return TcpFrame(kFromGuest,
                    {.ends = {kGuest6, guest_port_, to, port},
                     .sequence = 101,
                     .acknowledged = 501,
                     .flags = kTcpAck},
                    data);
  }

  void Connect6(const Address& to, std::uint16_t port) {
    Clear();
    Guest(Syn(to, port));
    Outside(TcpFrame(kFromOutside,
                     {.ends = {to, port, kGuest6, guest_port_},
                      .sequence = 500,
                      .acknowledged = 101,
                      .flags = kTcpSyn | kTcpAck},
                     ""));
    Clear();
  }

  void Resolve6(const std::string& name, const std::vector<Address>& addresses) {
    Clear();
    Guest(AskFrame(name, kTypeAaaa));
    ASSERT_EQ(to_outside_.size(), 1u);
    const auto packet = ParsePacket(AsBytes(to_outside_[0]));
    ASSERT_TRUE(packet.has_value());
    const auto asked = ParseDnsQuestion(packet->data);
    ASSERT_TRUE(asked.has_value());
    EXPECT_EQ(asked->type, kTypeAaaa);
    Clear();
    Outside(MakeUdp(kFromOutside, {kResolver, kDnsPort, kGuest, packet->source_port},
                    MakeDnsAnswer(*asked, DnsCode::kNoError, addresses, std::chrono::seconds(60))));
  }

  // ICMPv6 "administratively prohibited" from the gateway, with the packet in it.
  bool GuestWasToldItIsProhibited6() const {
    if (to_guest_.size() != 1) return false;
    const auto packet = ParsePacket(AsBytes(to_guest_[0]));
    return packet && packet->protocol == kIcmp6 && packet->source == kGateway6 &&
           packet->payload.size() > 48 && packet->payload[0] == 1 && packet->payload[1] == 1 &&
           packet->payload[8] >> 4 == 6 && ChecksumIsRight(*packet);
  }

  // `protocol` behind a header of this type, of 8 bytes.
  static std::string Extended(std::uint8_t header, const std::string& udp,
                              std::string_view content) {
    const auto packet = ParsePacket(AsBytes(udp));
    std::string text(1, static_cast<char>(packet->protocol));
    text.append(content);
    text.append(reinterpret_cast<const char*>(packet->payload.data()), packet->payload.size());
    return MakeIp(kFromGuest, header, packet->source, packet->destination, text);
  }

  static std::string Asks(const Address& source, const Address& target, std::uint8_t hops = 255) {
    std::string message("\x87\0\0\0\0\0\0\0", 8);
    PutAddress(message, target);
    return MakeIcmp6(kFromGuest, source, kAllRouters, message, hops);
  }
};

const std::string kSix("\0\0\0\0\0\0\0", 7);

TEST_F(Egress6Test, WithoutItPacketsHaveNoEffectAndNamesNoAddresses) {
  egress_.SetIpv6(false);
  Guest(Syn(kServer6, 80));
  Guest(Asks(kGuest6, kGateway6));
  Use("allow registry.example");
  Guest(Syn(kServer6, 80));
  EXPECT_TRUE(to_guest_.empty() && to_outside_.empty());
  EXPECT_EQ(Denied(), "");
  Guest(AskFrame("registry.example", kTypeAaaa));
  EXPECT_TRUE(to_outside_.empty());
  ASSERT_EQ(to_guest_.size(), 1u);
  Clear();
  Outside(MakeUdp(kFromOutside, {kServer6, 80, kGuest6, 4000}, "x"));
  EXPECT_TRUE(to_guest_.empty());
}

TEST_F(Egress6Test, TheOutsideIsReachedAndAnswersArrive) {
  Guest(Syn(kServer6, 80));
  Guest(Udp(kServer6, 53));
  Guest(MakeIcmp6(kFromGuest, kGuest6, kServer6, std::string("\x80\0\0\0\0\1\0\1", 8)));
  EXPECT_EQ(to_outside_.size(), 3u);
  EXPECT_TRUE(to_guest_.empty());
  Clear();
  Outside(MakeUdp(kFromOutside, {kServer6, 53, kGuest6, 4000}, "x"));
  Outside(MakeIcmp6(kFromOutside, kServer6, kGuest6, std::string("\x81\0\0\0\0\1\0\1", 8)));
  Outside(MakeIcmp6(kFromOutside, kGateway6, kGuest6, std::string("\1\3\0\0\0\0\0\0", 8)));
  EXPECT_EQ(to_guest_.size(), 3u);
}

TEST_F(Egress6Test, RoutersNeighboursAndOthersDoNotReachTheGuest) {
  for (const char type : {'\x85', '\x86', '\x87', '\x89', '\x8f'}) {
    Outside(MakeIcmp6(kFromOutside, kGateway6, kGuest6, type + std::string(23, '\0'), 255));
  }
  Outside(MakeUdp(kFromOutside, {kServer6, 53, kOther6, 4000}, "x"));
  Outside(MakeUdp(kFromOutside, {kServer6, 53, kAllRouters, 4000}, "x"));
  EXPECT_TRUE(to_guest_.empty());
  EXPECT_TRUE(to_outside_.empty());
}

TEST_F(Egress6Test, LocalAndImpossibleAddressesAreRefusedAtOnce) {
  egress_.SetPolicy(Policy(), LocalNetworks({{kOther6, 128}}), now_);
  for (const Address& to :
       {kOther6, Address(0xfd00000000000000, 7), kGateway6, kResolver6, Address(0, 1),
        Address(0xfe80000000000000, 1), Address(0xfd000ec200000000, 0x254),
        Address(0x0064ff9b00000000, 0x7f000001), Address(0x20027f0000010000, 1),
        Address(0x2001000000000000, 1), Address(0, 0x7f000001), Address(0x4000000000000000, 1)}) {
    Clear();
    Guest(Syn(to, 80));
    EXPECT_TRUE(to_outside_.empty()) << FormatAddress(to);
    EXPECT_TRUE(GuestWasReset()) << FormatAddress(to);
    Clear();
    Guest(Udp(to, 80));
    EXPECT_TRUE(to_outside_.empty() && GuestWasToldItIsProhibited6()) << FormatAddress(to);
  }
  const std::string denied = Denied();
  EXPECT_NE(denied.find("local [2001:db8::3]:80 (tcp)"), std::string::npos) << denied;
  EXPECT_NE(denied.find("never [64:ff9b::7f00:1]:80 (udp)"), std::string::npos) << denied;
}

TEST_F(Egress6Test, AddressesOfIpv4InsideAreDropped) {
  Guest(MakeUdp(kFromGuest, {kGuest6, 4000, Address(0, 0x0000fffe7f000001), 80}, "x"));
  Clear();
  std::string frame = Udp(kServer6, 80);
  for (std::size_t i = 0; i < 12; ++i) frame[14 + 24 + i] = i < 10 ? '\0' : '\xff';
  Guest(frame);
  EXPECT_TRUE(to_outside_.empty() && to_guest_.empty());
}

TEST_F(Egress6Test, HeadersBetweenAreRefusedWithTheProtocolBehindThem) {
  for (const std::uint8_t header : std::initializer_list<std::uint8_t>{0, 43, 60}) {
    Clear();
    Guest(Extended(header, Syn(kServer6, 80), kSix));
    EXPECT_TRUE(to_outside_.empty() && GuestWasReset()) << int{header};
  }
  EXPECT_EQ(Denied(), "protocol [2001:db8::2]:80 (tcp)");
  // Fragments, unknown headers, and more of them than are looked at.
  for (const std::uint8_t header : std::initializer_list<std::uint8_t>{44, 50, 51, 135, 139}) {
    Clear();
    Guest(Extended(header, Udp(kServer6, 80), kSix));
    EXPECT_TRUE(to_outside_.empty() && GuestWasToldItIsProhibited6()) << int{header};
  }
  std::string many = Udp(kServer6, 80);
  for (int i = 0; i < 20; ++i) many = Extended(60, many, kSix);
  Clear();
  Guest(many);
  EXPECT_TRUE(to_outside_.empty() && GuestWasToldItIsProhibited6());
  Clear();
  Guest(Extended(44, Udp(kServer6, 80), std::string("\0\0\x08\0\0\0\0", 7)));
  EXPECT_TRUE(to_outside_.empty() && to_guest_.empty()) << "no answer to a later fragment";
  Clear();
  Guest(Extended(60, Udp(kServer6, 80), std::string("\x7f\0\0\0\0\0\0", 7)));
  EXPECT_TRUE(to_outside_.empty() && to_guest_.empty()) << "a header that is cut off";
}

TEST_F(Egress6Test, OtherSendersHaveNoEffect) {
  Guest(MakeUdp(kFromGuest, {kOther6, 4000, kServer6, 80}, "x"));
  EXPECT_TRUE(to_outside_.empty() && to_guest_.empty());
  EXPECT_EQ(Denied(), "");
  // A guest has an address of its link, from where nothing is reached.
  Guest(MakeUdp(kFromGuest, {kOwnLink, 4000, kServer6, 80}, "x"));
  EXPECT_TRUE(to_outside_.empty() && GuestWasToldItIsProhibited6());
}

TEST_F(Egress6Test, NamesLeadToTheirAddresses) {
  Use("allow registry.example:443");
  Clear();
  Guest(Syn(kServer6, 443));
  EXPECT_TRUE(GuestWasReset()) << "before the question";
  Resolve6("registry.example", {kServer6, Address(0xfd00000000000000, 7)});
  ASSERT_EQ(to_guest_.size(), 1u);
  const auto told = ParsePacket(AsBytes(to_guest_[0]));
  const auto answer = ParseDnsAnswer(told->data);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->addresses, std::vector<Address>{kServer6});
  static_cast<void>(Denied());
  Connect6(kServer6, 443);
  Guest(Segment6(kServer6, 443, ClientHello("registry.example")));
  EXPECT_EQ(to_outside_.size(), 1u);
  Connect6(kServer6, 443);
  Guest(Segment6(kServer6, 443, ClientHello("other.example")));
  EXPECT_EQ(Flags(to_outside_), kTcpRst | kTcpAck) << "the server hears that it is over";
  EXPECT_TRUE(GuestWasReset());
  EXPECT_EQ(Denied(), "other_name other.example:443 at 2001:db8::2 (tcp)");
  Clear();
  Guest(Syn(kOther6, 443));
  EXPECT_TRUE(GuestWasReset());
  EXPECT_EQ(Denied(), "name_unknown [2001:db8::3]:443 (tcp)");
  Clear();
  Guest(Udp(kServer6, 443));
  EXPECT_TRUE(GuestWasToldItIsProhibited6());
  EXPECT_EQ(Denied(), "quic registry.example:443 at 2001:db8::2 (udp)");
}

// musl takes "no such name" to one of its two questions for an answer to both.
TEST_F(Egress6Test, ANameWithoutAnAllowedAddressOfOneVersionExists) {
  Use("allow registry.example");
  Resolve6("registry.example", {Address(0xfd00000000000000, 7)});
  ASSERT_EQ(to_guest_.size(), 1u);
  const auto answer = ParseDnsAnswer(ParsePacket(AsBytes(to_guest_[0]))->data);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code, DnsCode::kNoError);
  EXPECT_TRUE(answer->addresses.empty());
  EXPECT_EQ(Denied(), "local registry.example at fd00::7 (dns)");
}

TEST_F(Egress6Test, AnAnswerOfTheOtherVersionIsNone) {
  Use("allow registry.example");
  Clear();
  Guest(AskFrame("registry.example", kTypeAaaa));
  const auto packet = ParsePacket(AsBytes(to_outside_.at(0)));
  auto asked = ParseDnsQuestion(packet->data);
  const std::string as_a = MakeDnsQuestion(asked->id, asked->name);
  const auto other = ParseDnsQuestion(AsBytes(as_a));
  Clear();
  Outside(MakeUdp(kFromOutside, {kResolver, kDnsPort, kGuest, packet->source_port},
                  MakeDnsAnswer(*other, DnsCode::kNoError, {kServer}, std::chrono::seconds(60))));
  EXPECT_TRUE(to_guest_.empty());
}

TEST_F(Egress6Test, OnlyTheGatewayIsOnTheLink) {
  Guest(Asks(kGuest6, kGateway6));
  ASSERT_EQ(to_outside_.size(), 1u) << "in a message that is made here";
  EXPECT_EQ(to_outside_[0], GatewayRequest6(kTestMac));
  EXPECT_TRUE(to_guest_.empty());
  Clear();
  std::string answer = NeighbourAnswer(kTestMac, kGuest6, kGateway6);
  answer.back() = '\x77';  // Not the back end's.
  Outside(answer);
  ASSERT_EQ(to_guest_.size(), 1u);
  EXPECT_EQ(to_guest_[0], NeighbourAnswer(kTestMac, kGuest6, kGateway6));
  for (const Address& source : {kGuest6, kOwnLink}) {
    Clear();
    Guest(Asks(source, Address(kNetwork6, 0x99)));
    ASSERT_EQ(to_guest_.size(), 1u);
    EXPECT_EQ(to_guest_[0], NeighbourAnswer(kTestMac, source, Address(kNetwork6, 0x99)));
    EXPECT_TRUE(to_outside_.empty());
  }
  // Questions about its own address, from elsewhere, and what a router has passed on.
  Clear();
  Guest(Asks(Address(), kGuest6));
  Guest(Asks(kGuest6, kGuest6));
  Guest(Asks(kOther6, kGateway6));
  Guest(Asks(kGuest6, kGateway6, 64));
  Guest(Asks(kGuest6, kAllRouters));
  EXPECT_TRUE(to_guest_.empty() && to_outside_.empty());
}

TEST_F(Egress6Test, WhatAKernelSendsByItselfIsDroppedInSilence) {
  for (const char type : {'\1', '\x85', '\x86', '\x88', '\x89', '\x8f'}) {
    Guest(MakeIcmp6(kFromGuest, kGuest6, kAllRouters, type + std::string(23, '\0'), 255));
    Guest(MakeIcmp6(kFromGuest, kOwnLink, kServer6, type + std::string(23, '\0'), 255));
  }
  EXPECT_TRUE(to_guest_.empty() && to_outside_.empty());
  EXPECT_EQ(Denied(), "");
}

TEST_F(Egress6Test, TheBackEndLearnsOfANewCardFirst) {
  std::string frame = Udp(kServer6, 80);
  frame[11] = '\x44';
  Guest(frame);
  ASSERT_EQ(to_outside_.size(), 2u);
  Mac mac = kTestMac;
  mac[5] = 0x44;
  EXPECT_EQ(to_outside_[0], GatewayRequest6(mac));
}

TEST_F(Egress6Test, ServedNamesHaveNoAddressOfIt) {
  egress_.SetServed({{"api.example", 443}});
  Use("allow api.example:443");
  Clear();
  Guest(AskFrame("api.example", kTypeAaaa));
  EXPECT_TRUE(to_outside_.empty());
  ASSERT_EQ(to_guest_.size(), 1u);
  const auto answer = ParseDnsAnswer(ParsePacket(AsBytes(to_guest_[0]))->data);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code, DnsCode::kNoError);
  EXPECT_TRUE(answer->addresses.empty());
}

}  // namespace
}  // namespace pyro::net
