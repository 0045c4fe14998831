// Names and refusals; the connections are in egress_test.cc.

#include <gtest/gtest.h>

#include "net/denials.h"
#include "net/names.h"
#include "net/testing/egress_fixture.h"

namespace pyro::net {
namespace {

TEST_F(EgressTest, ANameThatIsAllowedLeadsToItsAddress) {
  Use("allow registry.example:443");
  Connect(kServer, 443);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset()) << "before the question";
  Resolve("registry.example", {kServer});
  ASSERT_TRUE(Answered().has_value());
  EXPECT_EQ(Answered()->addresses, std::vector<Address>{kServer});
  EXPECT_EQ(Answered()->id, 77);
  Connect(kServer, 443);
  Guest(Tcp(101, kTcpAck, ClientHello("registry.example")));
  EXPECT_EQ(to_outside_.size(), 1u);
  Connect(kServer, 80);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset()) << "another port";
  Connect(kOther, 443);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset()) << "an allowed name over another address";
}

TEST_F(EgressTest, ANameThatIsNotAllowedDoesNotExist) {
  Use("allow registry.example");
  Guest(AskFrame("data-for-someone.other.example"));
  EXPECT_TRUE(to_outside_.empty()) << "no byte of the question leaves";
  ASSERT_TRUE(Answered().has_value());
  EXPECT_EQ(Answered()->code, DnsCode::kNoSuchName);
  EXPECT_EQ(Answered()->id, 77);
  EXPECT_EQ(Denied(), "not_allowed data-for-someone.other.example (dns)");
}

TEST_F(EgressTest, QuestionsOfOtherKindsAreAnsweredHere) {
  Use("allow registry.example");
  for (const std::uint16_t type : {kTypeAaaa, kTypeHttps, std::uint16_t{16}, std::uint16_t{255}}) {
    Clear();
    Guest(AskFrame("registry.example", type));
    EXPECT_TRUE(to_outside_.empty());
    ASSERT_EQ(to_guest_.size(), 1u);
    EXPECT_EQ(to_guest_[0][14 + 20 + 8 + 3] & 0x0f, 0) << "no error, and no record";
  }
  Clear();
  Guest(AskFrame("_http._tcp.registry.example", 33));
  Guest(AskFrame("2.113.0.203.in-addr.arpa", 12));
  EXPECT_EQ(to_guest_.size(), 2u);
  EXPECT_EQ(Denied(), "") << "programs ask these on their own";
}

TEST_F(EgressTest, ForgedAnswersAreDropped) {
  Use("allow registry.example\nallow other.example");
  Guest(AskFrame("registry.example"));
  ASSERT_EQ(to_outside_.size(), 1u);
  auto asked = ParseDnsQuestion(ParsePacket(AsBytes(to_outside_[0]))->data);
  const auto answer = [&](const DnsQuestion& question, std::uint16_t port) {
    Clear();
    Outside(
        MakeUdp(kFromOutside, {kResolver, kDnsPort, kGuest, port},
                MakeDnsAnswer(question, DnsCode::kNoError, {kServer}, std::chrono::seconds(60))));
    return to_guest_.size();
  };
  DnsQuestion other = *asked;
  other.id ^= 1;
  EXPECT_EQ(answer(other, 40000), 0u);
  EXPECT_EQ(answer(*asked, 40001), 0u);
  EXPECT_EQ(answer(*asked, 40000), 1u);
  EXPECT_EQ(answer(*asked, 40000), 0u) << "one answer for one question";
}

TEST_F(EgressTest, ANameThatPointsToALocalAddressIsRefused) {
  Use("allow rebind.example");
  Resolve("rebind.example", {kLan});
  EXPECT_EQ(Answered()->code, DnsCode::kNoSuchName);
  EXPECT_EQ(Denied(), "local rebind.example at 192.168.1.5 (dns)");
  Resolve("rebind.example", {kLan, kServer, 0x7f000001, 0xa9fea9fe});
  EXPECT_EQ(Answered()->addresses, std::vector<Address>{kServer}) << "the others are left out";
  Connect(kLan, 80);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset());
}

TEST_F(EgressTest, ANameThatMovesIsReachedWhereItWasAnswered) {
  Use("allow moving.example");
  Resolve("moving.example", {kServer}, std::chrono::seconds(1));
  now_ += std::chrono::minutes(6);
  Resolve("moving.example", {kOther}, std::chrono::seconds(1));
  Connect(kOther, 443);
  Guest(Tcp(101, kTcpAck, ClientHello("moving.example")));
  EXPECT_EQ(to_outside_.size(), 1u);
  Connect(kServer, 443);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset()) << "its address of once";
}

TEST_F(EgressTest, OtherResolversAreRefused) {
  for (const std::string_view text : {"allow *.example", "allow *:443", "deny bad.example"}) {
    Use(text);
    for (const std::uint16_t port : {std::uint16_t{53}, std::uint16_t{853}}) {
      Clear();
      Guest(MakeUdp(kFromGuest, {kGuest, 1, kServer, port}, "question"));
      EXPECT_TRUE(GuestWasToldItIsProhibited()) << text;
      Connect(kServer, port);
      Guest(Tcp(100, kTcpSyn));
      EXPECT_TRUE(GuestWasReset()) << text;
    }
    Connect(kResolver, 53);
    Guest(Tcp(100, kTcpSyn));
    EXPECT_TRUE(GuestWasReset()) << "names over TCP";
  }
}

TEST_F(EgressTest, DeniedNamesAreFoundInConnectionsOfAnOpenPolicy) {
  Use("deny bad.example");
  Guest(AskFrame("bad.example"));
  EXPECT_EQ(Answered()->code, DnsCode::kNoSuchName);
  Clear();
  const std::string question = AskFrame("good.example", 16);
  Guest(question);
  EXPECT_EQ(to_outside_, std::vector<std::string>{question}) << "of any kind, unchanged";
  Connect(kServer, 443);
  Guest(Tcp(101, kTcpAck, ClientHello("bad.example")));
  EXPECT_TRUE(GuestWasReset());
  Connect(kServer, 443);
  Guest(Tcp(101, kTcpAck, ClientHello("good.example")));
  EXPECT_EQ(to_outside_.size(), 1u);
}

TEST_F(EgressTest, TheSameRefusalIsToldWithACount) {
  Use("allow a.example");
  for (int i = 0; i < 5; ++i) Guest(AskFrame("b.example"));
  auto first = egress_.denials().Take(now_);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].count, 5);
  Guest(AskFrame("b.example"));
  EXPECT_EQ(egress_.denials().Take(now_).size(), 1u) << "the next at once, too";
  EXPECT_EQ(egress_.denials().Next(), std::nullopt);
}

TEST_F(EgressTest, AFloodOfRefusalsIsToldAtItsPace) {
  Use("allow a.example");
  for (int i = 0; i < 1000; ++i) Guest(AskFrame("n" + std::to_string(i) + ".example"));
  EXPECT_EQ(egress_.denials().Take(now_).size(), static_cast<std::size_t>(DenialLog::kBurst));
  EXPECT_TRUE(egress_.denials().Take(now_).empty());
  ASSERT_TRUE(egress_.denials().Next().has_value());
  EXPECT_GT(*egress_.denials().Next(), now_);
  now_ += std::chrono::milliseconds(500);
  EXPECT_EQ(egress_.denials().Take(now_).size(),
            static_cast<std::size_t>(DenialLog::kPerSecond / 2));
  std::size_t left = 0;
  for (int i = 0; i < 100 && egress_.denials().Next(); ++i) {
    now_ += std::chrono::seconds(1);
    left += egress_.denials().Take(now_).size();
  }
  EXPECT_EQ(left, DenialLog::kMaxKinds - DenialLog::kBurst - DenialLog::kPerSecond / 2);
}

TEST(DenialTest, EachIsReadAsItWasWritten) {
  const Denial denial{.reason = Reason::kLocal,
                      .protocol = "tcp",
                      .name = "a.example",
                      .address = kLan,
                      .port = 80,
                      .count = 3};
  auto read = ParseDenial(FormatDenial(denial));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, denial);
  EXPECT_EQ(RuleFor(denial), "192.168.1.5:80");
  EXPECT_EQ(RuleFor({.reason = Reason::kNotAllowed, .protocol = "dns", .name = "a.example"}),
            "a.example");
  EXPECT_EQ(RuleFor({.reason = Reason::kDenied, .protocol = "dns", .name = "a.example"}), "");
  EXPECT_FALSE(ParseDenial("{}").ok());
  EXPECT_FALSE(ParseDenial(std::string(kMaxDenialBytes + 1, ' ')).ok());
  std::string odd = FormatDenial(denial);
  odd.replace(odd.find("a.example"), 9, "A\\u001b[2J");
  EXPECT_FALSE(ParseDenial(odd).ok()) << "text that is no name";
}

TEST(NameTableTest, EntriesEndAndAreBounded) {
  NameTable table;
  const SteadyTime now = SteadyTime{} + std::chrono::hours(1);
  table.Remember("a.example", 1, std::chrono::seconds(0), now);
  table.Remember("b.example", 1, std::chrono::hours(100), now);
  EXPECT_EQ(table.NamesOf(1, now + NameTable::kLeast - std::chrono::seconds(1)).size(), 2u);
  EXPECT_EQ(table.NamesOf(1, now + NameTable::kLeast), std::vector<std::string>{"b.example"});
  EXPECT_TRUE(table.NamesOf(1, now + NameTable::kMost).empty());
  EXPECT_EQ(table.size(), 0u);
  for (std::uint32_t i = 0; i < NameTable::kMaxEntries + 10; ++i) {
    table.Remember("a.example", i, std::chrono::seconds(600 + i), now);
  }
  EXPECT_EQ(table.size(), NameTable::kMaxEntries);
  EXPECT_TRUE(table.NamesOf(3, now).empty()) << "those go that end first";
  EXPECT_FALSE(table.NamesOf(NameTable::kMaxEntries + 9, now).empty());
}

}  // namespace
}  // namespace pyro::net
