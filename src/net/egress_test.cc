#include "net/egress.h"

#include <gtest/gtest.h>

#include "net/testing/egress_fixture.h"

namespace pyro::net {
namespace {

TEST_F(EgressTest, WithoutAPolicyTheOutsidePassesUnchanged) {
  for (const std::string& frame :
       {Tcp(100, kTcpSyn), Tcp(101, kTcpAck, "GET / HTTP/1.1\r\nHost: any\r\n\r\n"),
        AskFrame("any.example"), MakeUdp(kFromGuest, {kGuest, 1, kServer, 443}, "quic")}) {
    Clear();
    Guest(frame);
    EXPECT_EQ(to_outside_, std::vector<std::string>{frame});
    EXPECT_TRUE(to_guest_.empty());
  }
  EXPECT_EQ(Denied(), "");
}

TEST_F(EgressTest, WhatMayNeverLeaveIsRefusedAtOnce) {
  for (const Ipv4 address : {0x7f000001u, 0xa9fea9feu, kGateway}) {
    Connect(address, 80);
    Guest(Tcp(100, kTcpSyn));
    EXPECT_TRUE(GuestWasReset()) << std::hex << address;
    EXPECT_TRUE(to_outside_.empty());
    Clear();
    Guest(MakeUdp(kFromGuest, {kGuest, 1, address, 80}, "x"));
    EXPECT_TRUE(GuestWasToldItIsProhibited());
    EXPECT_TRUE(to_outside_.empty());
    EXPECT_NE(Denied().find("never " + FormatAddress(address) + ":80 (tcp)"), std::string::npos);
  }
}

TEST_F(EgressTest, FalseSendersAndGroupsGetNoAnswer) {
  Guest(MakeUdp(kFromGuest, {0x0a000210, 1, kServer, 80}, "x"));
  Guest(MakeUdp(kFromGuest, {kGuest, 1, 0xe0000001, 80}, "x"));
  Guest(MakeUdp(kFromGuest, {kGuest, 1, 0xffffffff, 80}, "x"));
  EXPECT_TRUE(to_guest_.empty());
  EXPECT_TRUE(to_outside_.empty());
}

TEST_F(EgressTest, LocalAddressesAreRefusedWithoutAPolicyToo) {
  Connect(kLan, 80);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset());
  EXPECT_EQ(Denied(), "local 192.168.1.5:80 (tcp)");
  Use("allow *\nallow 192.168.1.5:80");
  Clear();
  Guest(Tcp(100, kTcpSyn));
  EXPECT_EQ(Flags(to_outside_), kTcpSyn);
}

TEST_F(EgressTest, ARefusalTellsTheGuestWhatItExpects) {
  Use("allow registry.example");
  Guest(Tcp(100, kTcpSyn));
  ASSERT_TRUE(GuestWasReset());
  const auto reset = ParsePacket(AsBytes(to_guest_[0]));
  EXPECT_EQ(reset->acknowledged, 101u);
  EXPECT_EQ(reset->source, kServer);
  EXPECT_EQ(reset->source_port, 443);
  EXPECT_EQ(reset->destination_port, 41000);
  EXPECT_EQ(Denied(), "name_unknown 203.0.113.2:443 (tcp)");
}

TEST_F(EgressTest, AnotherNameInTheConnectionEndsItBeforeAByteLeaves) {
  Use("allow *.cdn.example");
  Resolve("a.cdn.example", {kServer});
  for (const std::string& bytes : {ClientHello("b.cdn.example"), ClientHello("evil.example"),
                                   Request("b.cdn.example"), Request("203.0.113.2"),
                                   std::string("GET http://evil.example/ HTTP/1.1\r\n"
                                               "Host: a.cdn.example\r\n\r\n")}) {
    Connect(kServer, 443);
    Guest(Tcp(101, kTcpAck, bytes));
    EXPECT_TRUE(GuestWasReset()) << bytes;
    ASSERT_EQ(to_outside_.size(), 1u);
    const auto reset = ParsePacket(AsBytes(to_outside_[0]));
    EXPECT_EQ(reset->flags & kTcpRst, kTcpRst);
    EXPECT_EQ(reset->sequence, 101u);
    EXPECT_TRUE(reset->data.empty());
    Clear();
    Guest(Tcp(101, kTcpAck, Request("a.cdn.example")));
    EXPECT_TRUE(GuestWasReset()) << "it stays refused";
    EXPECT_TRUE(to_outside_.empty());
  }
  EXPECT_NE(Denied().find("other_name evil.example:443 at 203.0.113.2 (tcp)"), std::string::npos);
}

TEST_F(EgressTest, BytesAreHeldUntilTheyTellTheName) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  const std::string bytes = ClientHello("a.example");
  Connect(kServer, 443);
  Guest(Tcp(101, kTcpAck, bytes.substr(0, 20)));
  Guest(Tcp(101 + 40, kTcpAck, bytes.substr(40)));  // Too early.
  Guest(Tcp(101, kTcpAck, bytes.substr(0, 20)));
  EXPECT_TRUE(to_outside_.empty());
  Guest(Tcp(101 + 10, kTcpAck, bytes.substr(10)));
  ASSERT_EQ(to_outside_.size(), 2u);
  EXPECT_EQ(to_outside_[0], Tcp(101, kTcpAck, bytes.substr(0, 20)));
  EXPECT_EQ(to_outside_[1], Tcp(101 + 10, kTcpAck, bytes.substr(10)));
}

TEST_F(EgressTest, OtherBytesInThePlaceOfJudgedOnesEndTheConnection) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  Connect(kServer, 80);
  const std::string good = Request("a.example");
  Guest(Tcp(101, kTcpAck, good.substr(0, 10)));
  Guest(Tcp(101, kTcpAck, "POST /evil"));
  EXPECT_TRUE(GuestWasReset());

  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck, good));
  EXPECT_EQ(to_outside_, std::vector<std::string>{Tcp(101, kTcpAck, good)});
  Clear();
  Guest(Tcp(101, kTcpAck, good));
  EXPECT_EQ(to_outside_.size(), 1u) << "the same once more";
  Clear();
  Guest(Tcp(91, kTcpAck, std::string(10, 'x') + Request("b.example")));
  EXPECT_TRUE(to_outside_.empty()) << "from before the first byte";
  Guest(Tcp(101, kTcpAck, Request("b.example")));
  EXPECT_TRUE(GuestWasReset());

  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck, good));
  Acknowledge(101 + static_cast<std::uint32_t>(good.size()));
  Clear();
  Guest(Tcp(101, kTcpAck, Request("b.example")));
  EXPECT_EQ(to_outside_.size(), 1u) << "the other side has the first ones";
}

TEST_F(EgressTest, ASegmentThatTheReceiverWouldDropIsNotJudged) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  Connect(kServer, 80);
  std::string wrong = Tcp(101, kTcpAck, Request("a.example"));
  wrong[14 + 20 + 16] = static_cast<char>(wrong[14 + 20 + 16] ^ 1);
  Guest(wrong);
  Guest(Tcp(101, kTcpAck, Request("b.example")));
  EXPECT_TRUE(GuestWasReset());
}

// The other side drops a SYN in the middle of a connection. What the guest sends as the first bytes
// by that SYN's number is old there, and the next bytes are the first that it reads.
TEST_F(EgressTest, ASecondSynMovesNoBeginning) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  Connect(kServer, 80);
  const std::string good = Request("a.example");
  const std::uint32_t earlier = 101 - static_cast<std::uint32_t>(good.size());
  Guest(Tcp(earlier - 1, kTcpSyn));
  Acknowledge(101);
  Clear();
  Guest(Tcp(earlier, kTcpAck, good));
  EXPECT_TRUE(GuestWasReset());
  Guest(Tcp(101, kTcpAck, Request("evil.example")));
  EXPECT_TRUE(to_outside_.empty()) << "no byte of either leaves";

  Acknowledge(101, kTcpSyn | kTcpAck);
  Clear();
  Guest(Tcp(earlier, kTcpAck, good));
  EXPECT_TRUE(to_outside_.empty()) << "the answer to the first SYN once more";

  Connect(kServer, 80);
  Guest(Tcp(5000, kTcpSyn));
  Acknowledge(5001, kTcpSyn | kTcpAck);
  Clear();
  Guest(Tcp(5001, kTcpAck, good));
  EXPECT_EQ(to_outside_.size(), 1u) << "another connection over the same port";
}

TEST_F(EgressTest, UrgentBytesAndBytesInASynAreRefused) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck | kTcpUrg, Request("a.example")));
  EXPECT_TRUE(GuestWasReset());
  ++guest_port_;
  Clear();
  Guest(Tcp(100, kTcpSyn, Request("a.example")));
  EXPECT_TRUE(GuestWasReset());
  EXPECT_TRUE(to_outside_.empty());
}

TEST_F(EgressTest, ABeginningThatNeverEndsIsRefused) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck, "GET /"));
  now_ += std::chrono::seconds(11);
  Guest(Tcp(101, kTcpAck, "GET /"));
  EXPECT_TRUE(GuestWasReset());
  Connect(kServer, 80);
  std::uint32_t at = 101;
  for (int i = 0; i < 20 && to_guest_.empty(); ++i, at += 1000) {
    Guest(Tcp(at, kTcpAck, at == 101 ? "GET /" + std::string(995, 'x') : std::string(1000, 'x')));
  }
  EXPECT_TRUE(GuestWasReset());
  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck | kTcpFin, "GET / HTTP/1.1\r\nHost: a.example\r\n"));
  EXPECT_TRUE(GuestWasReset()) << "it ends in the middle";
}

TEST_F(EgressTest, OtherProtocolsGoByTheAddressOfTheName) {
  Use("allow git.example:22");
  Resolve("git.example", {kServer});
  Connect(kServer, 22);
  Guest(Tcp(101, kTcpAck));
  Guest(Tcp(101, kTcpAck, "SSH-2.0-OpenSSH_9.2\r\n"));
  EXPECT_EQ(to_outside_.size(), 2u);
  Connect(kServer, 22);
  Guest(Tcp(101, kTcpAck, "hello"));
  EXPECT_TRUE(to_outside_.empty());
  Guest(Tcp(106, kTcpAck | kTcpFin));
  EXPECT_EQ(to_outside_.size(), 2u) << "it ends, and is no request";
}

TEST_F(EgressTest, SegmentsOfAConnectionWithoutBeginAreReset) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  Clear();
  Guest(Tcp(5000, kTcpAck, Request("a.example")));
  EXPECT_TRUE(GuestWasReset());
  EXPECT_TRUE(to_outside_.empty());
  Clear();
  Guest(Tcp(5000, kTcpRst));
  EXPECT_TRUE(to_guest_.empty());
}

TEST_F(EgressTest, ARuleWithAnAddressNeedsNoName) {
  Use("allow 203.0.113.0/24:80");
  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck, Request("anything")));
  EXPECT_EQ(to_outside_.size(), 1u);
  Clear();
  Guest(MakeUdp(kFromGuest, {kGuest, 1, kServer, 80}, "x"));
  EXPECT_EQ(to_outside_.size(), 1u);
  Clear();
  Guest(MakeUdp(kFromGuest, {kGuest, 1, kServer, 81}, "x"));
  EXPECT_TRUE(GuestWasToldItIsProhibited());
}

TEST_F(EgressTest, QuicNeedsARuleWithAnAddress) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  Clear();
  Guest(MakeUdp(kFromGuest, {kGuest, 1, kServer, 443}, "quic"));
  EXPECT_TRUE(GuestWasToldItIsProhibited());
  EXPECT_EQ(Denied(), "quic a.example:443 at 203.0.113.2 (udp)");
  Guest(MakeUdp(kFromGuest, {kGuest, 1, kServer, 123}, "time"));
  EXPECT_EQ(to_outside_.size(), 1u);
  Use("allow 203.0.113.2:443");
  Clear();
  Guest(MakeUdp(kFromGuest, {kGuest, 1, kServer, 443}, "quic"));
  EXPECT_EQ(to_outside_.size(), 1u);
}

TEST_F(EgressTest, FragmentsAndOtherProtocolsAreRefused) {
  Use("allow 203.0.113.2");
  std::string first = MakeUdp(kFromGuest, {kGuest, 1, kServer, 80}, "x");
  first[14 + 6] = 0x20;
  Guest(first);
  EXPECT_TRUE(GuestWasToldItIsProhibited());
  std::string later = first;
  later[14 + 7] = 1;
  Clear();
  Guest(later);
  EXPECT_TRUE(to_guest_.empty()) << "no answer to a later part";
  // IPv6 in IPv4, and IPv6 itself.
  Guest(MakeIp(kFromGuest, 41, kGuest, kServer, std::string(40, '\x60')));
  EXPECT_TRUE(GuestWasToldItIsProhibited());
  std::string six = Tcp(100, kTcpSyn);
  six[12] = '\x86';
  six[13] = '\xdd';
  Guest(six);
  EXPECT_TRUE(to_outside_.empty());
}

TEST_F(EgressTest, ANewPolicyHoldsForConnectionsThatAreOpen) {
  Use("allow a.example\nallow b.example");
  Resolve("a.example", {kServer});
  Resolve("b.example", {kOther});
  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck, Request("a.example")));
  EXPECT_EQ(to_outside_.size(), 1u);
  Use("allow b.example");
  Clear();
  Guest(Tcp(5000, kTcpAck, "more"));
  EXPECT_TRUE(GuestWasReset());
  EXPECT_TRUE(to_outside_.empty());
  Use("allow a.example\nallow b.example");
  Connect(kServer, 80);
  Guest(Tcp(101, kTcpAck, Request("a.example")));
  EXPECT_EQ(to_outside_.size(), 1u);
}

TEST_F(EgressTest, ManyConnectionsAreBounded) {
  Use("allow a.example");
  Resolve("a.example", {kServer});
  address_ = kServer;
  port_ = 443;
  for (std::uint32_t i = 0; i < FlowTable::kMaxFlows + 100; ++i) {
    guest_port_ = static_cast<std::uint16_t>(1024 + i);
    Clear();
    Guest(Tcp(100, kTcpSyn));
    ASSERT_EQ(to_outside_.size(), 1u);
  }
  guest_port_ = 1024;
  Clear();
  Guest(Tcp(101, kTcpAck, ClientHello("a.example")));
  EXPECT_TRUE(GuestWasReset()) << "the longest unused is forgotten";
}

}  // namespace
}  // namespace pyro::net
