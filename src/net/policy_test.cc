#include "net/policy.h"

#include <gtest/gtest.h>

namespace pyro::net {
namespace {

Policy Rules(std::string_view text) {
  auto policy = Policy::Parse(text);
  EXPECT_TRUE(policy.ok()) << policy.error().message;
  return policy.ok() ? *policy : Policy();
}

constexpr Ipv4 kOutsideAddress = 0xcb007102;
constexpr Ipv4 kPrivateAddress = 0xc0a80105;

TEST(PolicyTest, RulesAreReadAndWrittenTheSame) {
  for (const std::string_view text :
       {"registry.example", "*.registry.example", "registry.example:443", "198.51.100.7",
        "198.51.100.7:22", "198.51.100.0/24", "198.51.100.0/24:8080", "*", "*:443",
        "a_b.example"}) {
    auto rule = ParseRule(true, text);
    ASSERT_TRUE(rule.ok()) << text;
    EXPECT_EQ(FormatRule(*rule), text);
  }
  EXPECT_EQ(FormatRule(*ParseRule(true, "Registry.EXAMPLE.")), "registry.example");
}

TEST(PolicyTest, WhatIsNoHostIsRefusedWithAHint) {
  const std::string long_label(64, 'a');
  const std::string long_name = std::string(252, 'a') + ".b";
  for (const std::string& text : {std::string(""),
                                  std::string("a b"),
                                  std::string("https://registry.example/"),
                                  std::string("registry.example:0"),
                                  std::string("registry.example:65536"),
                                  std::string("registry.example:"),
                                  std::string("198.51.100.7/0"),
                                  std::string("198.51.100.7/33"),
                                  std::string("198.51.100.7/24"),
                                  std::string("198.51.100"),
                                  std::string("198.51.100.256"),
                                  std::string("198.51.100.07"),
                                  std::string("1::2::3"),
                                  std::string("[::1]:"),
                                  std::string("**.example"),
                                  std::string("a.*.example"),
                                  std::string("a..example"),
                                  std::string(".example"),
                                  std::string("example.1"),
                                  long_label,
                                  long_name,
                                  std::string("\xc3\xa4.example")}) {
    auto rule = ParseRule(true, text);
    ASSERT_FALSE(rule.ok()) << text;
    EXPECT_EQ(rule.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(rule.error().hint.empty());
  }
}

TEST(PolicyTest, AFileNamesTheLineThatIsWrong) {
  auto policy =
      Policy::Parse("# all of it\nallow registry.example # why\n\n\tdeny  *.bad.example\n");
  ASSERT_TRUE(policy.ok()) << policy.error().message;
  EXPECT_EQ(policy->Format(), "allow registry.example\ndeny *.bad.example\n");
  for (const std::string_view text :
       {"permit a.example", "allow", "allow a.example b.example", "\nallow a/b", "allow @debian"}) {
    auto bad = Policy::Parse(text);
    ASSERT_FALSE(bad.ok()) << text;
    EXPECT_NE(bad.error().message.find(text[0] == '\n' ? "line 2" : "line 1"), std::string::npos);
  }
  EXPECT_FALSE(Policy::Parse(std::string(kMaxPolicyBytes + 1, '\n')).ok());
}

TEST(PolicyTest, PresetsStandForTheirRules) {
  const auto preset = [](std::string_view name) -> Result<std::vector<std::string>> {
    if (name != "@two") return MakeError(ErrorCode::kInvalidArgument, "no such preset");
    return std::vector<std::string>{"a.example:443", "b.example"};
  };
  auto policy = Policy::Parse("allow @two\n", preset);
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->Format(), "allow a.example:443\nallow b.example\n");
  EXPECT_FALSE(Policy::Parse("allow @three", preset).ok());
}

TEST(PolicyTest, RulesAreBounded) {
  Policy policy;
  for (std::size_t i = 0; i < kMaxRules; ++i) {
    ASSERT_TRUE(policy.Add(*ParseRule(true, "h" + std::to_string(i) + ".example")).ok());
  }
  EXPECT_FALSE(policy.Add(*ParseRule(true, "one-more.example")).ok());
  EXPECT_TRUE(policy.Add(*ParseRule(true, "h0.example")).ok()) << "it is there already";
}

TEST(PolicyTest, WithoutAnAllowRuleTheOutsideIsAllowedAndNothingLocal) {
  const Policy none;
  EXPECT_FALSE(none.closed());
  EXPECT_EQ(none.AskName("any.example", 443), Reason::kNone);
  EXPECT_EQ(none.AskAddress(kOutsideAddress, 443, false), Reason::kNone);
  EXPECT_EQ(none.AskAddress(kPrivateAddress, 443, true), Reason::kLocal);
  EXPECT_EQ(none.AskAddress(0x7f000001, 443, false), Reason::kNever);
  const Policy denies = Rules("deny bad.example\ndeny 203.0.113.2:25");
  EXPECT_FALSE(denies.closed());
  EXPECT_EQ(denies.AskName("bad.example"), Reason::kDenied);
  EXPECT_EQ(denies.AskName("other.example"), Reason::kNone);
  EXPECT_EQ(denies.AskAddress(kOutsideAddress, 25, false), Reason::kDenied);
  EXPECT_EQ(denies.AskAddress(kOutsideAddress, 443, false), Reason::kNone);
}

TEST(PolicyTest, WithAnAllowRuleNothingElseIsAllowed) {
  const Policy policy =
      Rules("allow registry.example:443\nallow *.files.example\ndeny x.files.example");
  EXPECT_TRUE(policy.closed());
  EXPECT_EQ(policy.AskName("registry.example"), Reason::kNone);
  EXPECT_EQ(policy.AskName("registry.example", 443), Reason::kNone);
  EXPECT_EQ(policy.AskName("registry.example", 80), Reason::kNotAllowed);
  EXPECT_EQ(policy.AskName("a.b.files.example", 80), Reason::kNone);
  EXPECT_EQ(policy.AskName("files.example"), Reason::kNotAllowed);
  EXPECT_EQ(policy.AskName("notfiles.example"), Reason::kNotAllowed);
  EXPECT_EQ(policy.AskName("x.files.example"), Reason::kDenied);
  EXPECT_EQ(policy.AskName("registry.example.evil.example"), Reason::kNotAllowed);
  EXPECT_EQ(policy.AskAddress(kOutsideAddress, 443, false), Reason::kNotAllowed);
}

TEST(PolicyTest, LocalAddressesNeedARuleWithAnAddress) {
  for (const std::string_view text : {"allow *", "allow *:443", "allow lan.example"}) {
    EXPECT_EQ(Rules(text).AskAddress(kPrivateAddress, 443, true), Reason::kLocal) << text;
    EXPECT_EQ(Rules(text).AskAnswer(kPrivateAddress, true), Reason::kLocal) << text;
  }
  const Policy by_address = Rules("allow 192.168.0.0/16:443\nallow *");
  EXPECT_EQ(by_address.AskAddress(kPrivateAddress, 443, true), Reason::kNone);
  EXPECT_EQ(by_address.AskAddress(kPrivateAddress, 80, true), Reason::kLocal);
  EXPECT_EQ(by_address.AskAnswer(kPrivateAddress, true), Reason::kNone);
  EXPECT_EQ(by_address.AskAddress(kOutsideAddress, 80, false), Reason::kNone);
  EXPECT_EQ(Rules("allow 169.254.169.254").AskAddress(0xa9fea9fe, 80, true), Reason::kNever);
}

TEST(PolicyTest, LocalIsPrivateOrOfTheHost) {
  const LocalNetworks none;
  for (const Ipv4 address : {0x0a000001u, 0xac1f0001u, 0xc0a80001u, 0x64400001u}) {
    EXPECT_TRUE(none.Has(address)) << std::hex << address;
  }
  EXPECT_FALSE(none.Has(0xac200001));
  EXPECT_FALSE(none.Has(kOutsideAddress));
  const LocalNetworks some({{.network = 0xcb007100, .bits = 24}});
  EXPECT_TRUE(some.Has(kOutsideAddress));
}

TEST(PolicyTest, AddressesOfIpv6AreReadAndWritten) {
  for (const auto& [text, written] : {std::pair{"2001:db8::1", "2001:db8::1"},
                                      {"2001:DB8:0::1", "2001:db8::1"},
                                      {"[2001:db8::1]", "2001:db8::1"},
                                      {"[2001:db8::1]:443", "[2001:db8::1]:443"},
                                      {"2001:db8::/32", "2001:db8::/32"},
                                      {"[2001:db8::/32]:443", "[2001:db8::/32]:443"},
                                      {"fd00::/8", "fd00::/8"},
                                      {"2001:db8::/128", "2001:db8::"}}) {
    const auto rule = ParseRule(true, text);
    ASSERT_TRUE(rule.ok()) << text << ": " << rule.error().message;
    EXPECT_EQ(FormatRule(*rule), written);
    EXPECT_EQ(ParseRule(true, written).value(), *rule);
  }
  for (const char* const text : {"2001:db8::1:",
                                 "2001:db8::g",
                                 "[2001:db8::1",
                                 "2001:db8::1]",
                                 "[2001:db8::1]443",
                                 "[2001:db8::1]:0",
                                 "[2001:db8::1]:65536",
                                 "[2001:db8::1]/64",
                                 "2001:db8::1/32",
                                 "2001:db8::/129",
                                 "2001:db8::/0",
                                 "::",
                                 "::/0",
                                 "::ffff:203.0.113.2",
                                 "::ffff:0:0/96",
                                 "[203.0.113.2]:80",
                                 "[a.example]:80",
                                 "[]",
                                 "[",
                                 "fe80::1%eth0",
                                 "1:2:3:4:5:6:7:8:9"}) {
    EXPECT_FALSE(ParseRule(true, text).ok()) << text;
  }
  EXPECT_NE(ParseRule(true, "::ffff:203.0.113.2").error().message.find("write the IPv4 address"),
            std::string::npos);
}

TEST(PolicyTest, ARangeOfOneVersionHasNoneOfTheOther) {
  const AddressRange all4{0x80000000, 1};
  const AddressRange all6{Address(0, 0x0000ffff00000000), 96};
  EXPECT_FALSE(all6.Has(Address(0x20010db800000000, 1)));
  EXPECT_TRUE(all4.Has(kOutsideAddress));
  EXPECT_FALSE(all4.Has(Address(0x8001000000000000, 1)));
  const Policy rules = Rules("allow [2001:db8::/32]:443\nallow *.example");
  EXPECT_EQ(rules.AskAddress(Address(0x20010db800000000, 9), 443, true), Reason::kNone);
  EXPECT_EQ(rules.AskAddress(Address(0x20010db800000000, 9), 80, false), Reason::kNotAllowed);
  EXPECT_EQ(rules.AskAddress(Address(0x20010db900000000, 9), 443, false), Reason::kNotAllowed);
}

TEST(PolicyTest, OfIpv6OnlyGlobalAndLocalAddressesExist) {
  const LocalNetworks none;
  for (const char* const text :
       {"2001:db8::1", "2a00:1450::5", "2000::", "3fff:ffff::1", "2001:4860::8888"}) {
    EXPECT_FALSE(IsNever(*ParseAddress(text))) << text;
    EXPECT_FALSE(none.Has(*ParseAddress(text))) << text;
  }
  for (const char* const text : {"fd00::1", "fc12::1", "fdff:ffff::1"}) {
    EXPECT_FALSE(IsNever(*ParseAddress(text))) << text;
    EXPECT_TRUE(none.Has(*ParseAddress(text))) << text;
  }
  for (const char* const text :
       {"::1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1", "2002:7f00:1::1",
        "fe80::1", "fec0::1", "ff02::1", "4000::1", "100::1", "fd00:ec2::254", "fd20:ce::254",
        "fd00:c1::a9fe:a9fe", "fd70:7972:6f00::2", "fd70:7972:6f00::15"}) {
    EXPECT_TRUE(IsNever(*ParseAddress(text))) << text;
    EXPECT_EQ(Rules(std::string("allow ") + text).AskAddress(*ParseAddress(text), 80, true),
              Reason::kNever)
        << text;
  }
}

TEST(PolicyTest, EachReasonHasANameAndASentence) {
  for (int i = 1; i <= static_cast<int>(Reason::kUpstream); ++i) {
    const auto reason = static_cast<Reason>(i);
    EXPECT_EQ(ParseReason(Name(reason)), reason);
    EXPECT_FALSE(Sentence(reason).empty());
  }
  EXPECT_EQ(ParseReason(""), std::nullopt);
}

}  // namespace
}  // namespace pyro::net
