#include "net/dns.h"

#include <gtest/gtest.h>

#include "net/bytes.h"
#include "net/testing/frames.h"

namespace pyro::net {
namespace {

std::string Question(std::string_view name, std::uint16_t type = kTypeA) {
  const auto frame = AskFrame(name, type);
  return frame.substr(14 + 20 + 8);
}

std::string DnsName(std::initializer_list<std::string_view> labels) {
  std::string text;
  for (const std::string_view label : labels) {
    Put8(text, static_cast<unsigned>(label.size()));
    text.append(label);
  }
  Put8(text, 0);
  return text;
}

std::string RecordOf(const std::string& owner, std::uint16_t type, std::uint32_t ttl,
                     const std::string& content) {
  std::string text = owner;
  Put16(text, type);
  Put16(text, 1);
  Put32(text, ttl);
  Put16(text, static_cast<unsigned>(content.size()));
  return text + content;
}

std::string Response(const std::string& question, std::initializer_list<std::string> records,
                     unsigned flags = 0x8180) {
  std::string text;
  Put16(text, 7);
  Put16(text, flags);
  Put16(text, 1);
  Put16(text, static_cast<unsigned>(records.size()));
  Put32(text, 0);
  text += question;
  for (const std::string& record : records) text += record;
  return text;
}

std::string Bytes(std::uint32_t value) {
  std::string text;
  Put32(text, value);
  return text;
}

const std::string kAsked = DnsName({"a", "example"}) + std::string("\0\1\0\1", 4);

TEST(DnsTest, AQuestionIsReadInLowerCaseAndAnsweredAsItWasAsked) {
  const std::string message = Question("Registry.EXAMPLE");
  const auto question = ParseDnsQuestion(AsBytes(message));
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(question->name, "registry.example");
  EXPECT_EQ(question->id, 77);
  EXPECT_EQ(question->type, kTypeA);
  const std::string answer =
      MakeDnsAnswer(*question, DnsCode::kNoError, {0x01020304}, std::chrono::seconds(9));
  EXPECT_NE(answer.find("EXAMPLE"), std::string::npos) << "resolvers compare its case";
  const auto read = ParseDnsAnswer(AsBytes(answer));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->addresses, std::vector<net::Address>{0x01020304});
  EXPECT_EQ(read->ttl.count(), 9);
}

TEST(DnsTest, TheNewQuestionHasNothingOfTheGuestsButTheName) {
  std::string message = Question("registry.example") + "smuggled";
  message[3] = '\x7f';  // Flags that are not ours.
  const auto question = ParseDnsQuestion(AsBytes(message));
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(MakeDnsQuestion(5, question->name), MakeDnsQuestion(5, "registry.example"));
  EXPECT_EQ(MakeDnsQuestion(5, question->name).find("smuggled"), std::string::npos);
}

TEST(DnsTest, WhatIsNotOneQuestionIsNone) {
  const std::string good = Question("registry.example");
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseDnsQuestion(AsBytes(good.substr(0, size)))) << size;
  }
  const auto changed = [&](std::size_t at, char value) {
    std::string message = good;
    message[at] = value;
    return ParseDnsQuestion(AsBytes(message)).has_value();
  };
  EXPECT_FALSE(changed(2, '\x80')) << "an answer";
  EXPECT_FALSE(changed(2, '\x28')) << "an update";
  EXPECT_FALSE(changed(5, 2)) << "two questions";
  EXPECT_FALSE(changed(good.size() - 1, 3)) << "another class";
  EXPECT_FALSE(changed(12, '\xc0')) << "a pointer ahead";
  EXPECT_FALSE(changed(12, '\x80')) << "a label of no kind";
}

TEST(DnsTest, NamesThatAreNoHostsAreEmpty) {
  for (const std::string_view name : {"a b.example", "a\x01.example", "ex\xc3\xa4.example"}) {
    const auto question = ParseDnsQuestion(AsBytes(Question(name)));
    ASSERT_TRUE(question.has_value());
    EXPECT_EQ(question->name, "");
  }
  std::string dotted = Question("ab.example");
  dotted[13] = '.';
  EXPECT_EQ(ParseDnsQuestion(AsBytes(dotted))->name, "") << "a dot within a label";
}

TEST(DnsTest, AliasesLeadToAddressesInAnyOrderOfRecords) {
  const std::string alias = DnsName({"b", "example"});
  const std::string message =
      Response(kAsked, {RecordOf(alias, 1, 50, Bytes(3)), RecordOf(alias, 1, 70, Bytes(4)),
                        RecordOf(DnsName({"a", "example"}), 5, 60, alias)});
  const auto answer = ParseDnsAnswer(AsBytes(message));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->name, "a.example");
  EXPECT_EQ(answer->addresses, (std::vector<net::Address>{3, 4}));
  EXPECT_EQ(answer->ttl.count(), 50);
}

TEST(DnsTest, AddressesOfIpv6AreAskedForAndRead) {
  const net::Address one{0x20010db800000000, 1};
  const std::string asked = MakeDnsQuestion(7, "a.example", kTypeAaaa);
  const auto question = ParseDnsQuestion(AsBytes(asked));
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(question->type, kTypeAaaa);
  const std::vector<net::Address> many(20, one);
  const std::string message =
      MakeDnsAnswer(*question, DnsCode::kNoError, many, std::chrono::seconds(9));
  EXPECT_LE(message.size(), 512u);
  const auto read = ParseDnsAnswer(AsBytes(message));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->type, kTypeAaaa);
  EXPECT_EQ(read->ttl, std::chrono::seconds(9));
  EXPECT_EQ(read->addresses, std::vector<net::Address>(kMaxAddresses6, one));
}

TEST(DnsTest, RecordsOfTheOtherVersionAndIpv4WithinIpv6AreNotTaken) {
  const std::string wanted = DnsName({"a", "example"}) + std::string("\0\x1c\0\1", 4);
  const std::string mapped = std::string(10, '\0') + "\xff\xff" + Bytes(0x7f000001);
  const std::string message = Response(
      wanted,
      {RecordOf("\xc0\x0c", kTypeA, 60, Bytes(1)), RecordOf("\xc0\x0c", kTypeAaaa, 60, mapped),
       RecordOf("\xc0\x0c", kTypeAaaa, 60, Bytes(0x20010db8)),
       RecordOf("\xc0\x0c", kTypeAaaa, 60, Bytes(0x20010db8) + std::string(12, '\1'))});
  const auto read = ParseDnsAnswer(AsBytes(message));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->addresses, (std::vector<net::Address>{{0x20010db801010101, 0x0101010101010101}}));
}

TEST(DnsTest, AddressesOfOtherNamesAreNotTaken) {
  const std::string message =
      Response(kAsked, {RecordOf(DnsName({"evil", "example"}), 1, 50, Bytes(3))});
  const auto answer = ParseDnsAnswer(AsBytes(message));
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->addresses.empty());
}

TEST(DnsTest, AliasesInACircleEnd) {
  const std::string a = DnsName({"a", "example"});
  const std::string b = DnsName({"b", "example"});
  const std::string message = Response(kAsked, {RecordOf(a, 5, 60, b), RecordOf(b, 5, 60, a)});
  EXPECT_TRUE(ParseDnsAnswer(AsBytes(message))->addresses.empty());
}

TEST(DnsTest, AnAnswerThatIsCutOffHasWhatIsWhole) {
  const std::string a = std::string("\xc0\x0c", 2);
  const std::string whole =
      Response(kAsked, {RecordOf(a, 1, 50, Bytes(3)), RecordOf(a, 1, 50, Bytes(4))});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto answer = ParseDnsAnswer(AsBytes(whole.substr(0, size)));
    if (answer) {
      EXPECT_LE(answer->addresses.size(), 1u);
    }
  }
  EXPECT_EQ(ParseDnsAnswer(AsBytes(whole))->addresses.size(), 2u);
}

TEST(DnsTest, CodesOfTheResolverAreKept) {
  EXPECT_EQ(ParseDnsAnswer(AsBytes(Response(kAsked, {}, 0x8183)))->code, DnsCode::kNoSuchName);
  EXPECT_EQ(ParseDnsAnswer(AsBytes(Response(kAsked, {}, 0x8182)))->code, DnsCode::kServerFailure);
  EXPECT_EQ(ParseDnsAnswer(AsBytes(Response(kAsked, {}, 0x8185)))->code, DnsCode::kServerFailure);
  EXPECT_FALSE(ParseDnsAnswer(AsBytes(Response(kAsked, {}, 0x0100)))) << "a question";
}

TEST(DnsTest, AnAnswerFitsIntoTheLeastMessage) {
  DnsQuestion question;
  question.wire = std::string(255 + 4, 'q');
  const std::vector<net::Address> many(100, 1);
  EXPECT_LE(MakeDnsAnswer(question, DnsCode::kNoError, many).size(), 512u);
}

}  // namespace
}  // namespace pyro::net
