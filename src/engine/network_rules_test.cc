#include "engine/network_rules.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"

namespace pyro::engine {
namespace {

// Beside the tests there are no presets.
class NetworkRulesTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("PYRO_LIBEXEC_DIR", sys::Environment("PYRO_TEST_BIN").c_str(), 1);
  }
  void TearDown() override { ::unsetenv("PYRO_LIBEXEC_DIR"); }
};

VmOptions With(std::vector<std::string> allow, std::vector<std::string> deny = {}) {
  VmOptions options;
  options.allow = std::move(allow);
  options.deny = std::move(deny);
  return options;
}

TEST_F(NetworkRulesTest, RulesGiveANetworkAndAreStoredAsLines) {
  VmOptions options = With({"Registry.example:443", "*.files.example"}, {"x.files.example"});
  ASSERT_TRUE(ResolveNetworkRules(options).ok());
  EXPECT_TRUE(options.network);
  EXPECT_EQ(NetworkRulesText(options),
            "allow registry.example:443\nallow *.files.example\ndeny x.files.example\n");
  EXPECT_EQ(DescribeNetworkRules(NetworkRulesText(options)).size(), 3u);
  VmOptions again = options;
  ASSERT_TRUE(ResolveNetworkRules(again).ok());
  EXPECT_EQ(NetworkRulesText(again), NetworkRulesText(options));
}

TEST_F(NetworkRulesTest, WithoutRulesNothingChanges) {
  VmOptions options;
  options.allow_host_compat = true;
  ASSERT_TRUE(ResolveNetworkRules(options).ok());
  EXPECT_FALSE(options.network);
  EXPECT_EQ(NetworkRulesText(options), "");
}

TEST_F(NetworkRulesTest, AFileComesFirstAndPresetsAreItsHosts) {
  const sys::TestDirectory directory;
  const auto file = directory.path() / "rules";
  ASSERT_TRUE(sys::WriteFileAtomically(file, "allow @pypi # why\ndeny a.example\n", 0600).ok());
  VmOptions options = With({"b.example"});
  options.network_policy = file;
  const Status resolved = ResolveNetworkRules(options);
  ASSERT_TRUE(resolved.ok()) << resolved.error().message;
  EXPECT_GE(options.allow.size(), 3u);
  EXPECT_EQ(options.allow.back(), "b.example");
  EXPECT_EQ(options.deny, std::vector<std::string>{"a.example"});
  options.network_policy = directory.path() / "none";
  EXPECT_FALSE(ResolveNetworkRules(options).ok());
}

TEST_F(NetworkRulesTest, AFileWithoutARuleOpensNothing) {
  const sys::TestDirectory directory;
  const auto file = directory.path() / "rules";
  ASSERT_TRUE(sys::WriteFileAtomically(file, "# none yet\n", 0600).ok());
  const auto pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const auto& path : {file, pipe}) {
    VmOptions options;
    options.network_policy = path;
    const Status resolved = ResolveNetworkRules(options);
    ASSERT_FALSE(resolved.ok());
    EXPECT_EQ(resolved.error().message, "'" + path.native() + "' has no rule");
    EXPECT_FALSE(options.network);
  }
}

TEST_F(NetworkRulesTest, AByteOrderMarkBeforeTheFirstLineSaysNothing) {
  const sys::TestDirectory directory;
  const auto file = directory.path() / "rules";
  ASSERT_TRUE(sys::WriteFileAtomically(file,
                                       "\xef\xbb\xbf"
                                       "allow b.example\n",
                                       0600)
                  .ok());
  VmOptions options;
  options.network_policy = file;
  ASSERT_TRUE(ResolveNetworkRules(options).ok());
  EXPECT_EQ(options.allow, std::vector<std::string>{"b.example"});
}

TEST_F(NetworkRulesTest, WhatMakesNoSenseIsRefused) {
  for (const std::string rule : {"https://a.example/", "@nope", "a b", "::ffff:203.0.113.2"}) {
    VmOptions options = With({rule});
    const Status resolved = ResolveNetworkRules(options);
    ASSERT_FALSE(resolved.ok()) << rule;
    EXPECT_EQ(resolved.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(resolved.error().hint.empty());
  }
  VmOptions on_host = With({"a.example"});
  on_host.allow_host_compat = true;
  EXPECT_EQ(ResolveNetworkRules(on_host).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(NetworkRulesTest, AllowTakesNothingAwayAndDenyGoesFirst) {
  using enum RuleVerb;
  const auto changed = [](const std::string& text, RuleVerb verb, const std::string& word) {
    auto rules = ChangeNetworkRules(text, verb, {word});
    return rules ? rules->text : rules.error().message;
  };
  EXPECT_EQ(changed("", kAllow, "10.0.0.1:22"), "allow *\nallow 10.0.0.1:22\n");
  EXPECT_EQ(changed("deny a.example\n", kAllow, "B.example"),
            "deny a.example\nallow *\nallow b.example\n");
  EXPECT_EQ(changed("allow a.example\n", kAllow, "b.example"),
            "allow a.example\nallow b.example\n");
  EXPECT_EQ(changed("allow a.example\n", kAllow, "a.example"), "allow a.example\n");
  EXPECT_EQ(changed("allow a.example\n", kDeny, "a.example"), "allow a.example\ndeny a.example\n");
  const auto back = ChangeNetworkRules("allow a.example\ndeny a.example\n", kAllow, {"a.example"});
  EXPECT_EQ(back->text, "allow a.example\n");
  EXPECT_EQ(back->changes, std::vector<std::string>{"no deny a.example"});
  EXPECT_EQ(changed("allow x.example\ndeny *.b.example\n", kAllow, "a.b.example"),
            "a deny rule goes before 'a.b.example'");
  EXPECT_EQ(changed("allow x.example\ndeny 192.0.2.0/24\n", kAllow, "192.0.2.7"),
            "a deny rule goes before '192.0.2.7'");
  EXPECT_FALSE(ChangeNetworkRules("", kAllow, {"no/host"}).ok());
  EXPECT_FALSE(ChangeNetworkRules("", kAllow, {"@nowhere"}).ok());
}

TEST_F(NetworkRulesTest, APolicyAnswersWithoutAGuest) {
  CheckPolicyRequest request;
  request.host = "b.example:443";
  request.allow = {"a.example"};
  auto answer = AskPolicy(request);
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->allowed);
  EXPECT_EQ(answer->reason, "not_allowed");
  EXPECT_EQ(answer->rule, "b.example:443");
  request.host = "a.example:443";
  EXPECT_TRUE(AskPolicy(request)->allowed);
  request.allow.clear();
  request.host = "10.1.2.3:80";
  EXPECT_EQ(AskPolicy(request)->reason, "local");
  request.host = "127.0.0.1";
  EXPECT_EQ(AskPolicy(request)->reason, "never");
  EXPECT_EQ(AskPolicy(request)->rule, "");
  request.host = "*.example";
  EXPECT_FALSE(AskPolicy(request).ok());
}

TEST_F(NetworkRulesTest, NamesOfTheLoopbackAreRefusedAsAGuestsQuestionIs) {
  CheckPolicyRequest request;
  request.allow = {"*"};
  for (const char* const host : {"localhost", "LOCALHOST:80", "a.localhost."}) {
    request.host = host;
    const auto answer = AskPolicy(request);
    ASSERT_TRUE(answer.ok()) << host;
    EXPECT_EQ(answer->reason, "never") << host;
    EXPECT_EQ(answer->rule, "") << host;
  }
  request.host = "localhost.example";
  EXPECT_TRUE(AskPolicy(request)->allowed);
}

TEST_F(NetworkRulesTest, AddressesOfIpv6AreAsked) {
  CheckPolicyRequest request;
  request.allow = {"[2001:db8::/32]:443", "fd00::1"};
  for (const auto& [host, reason] : {std::pair{"[2001:db8::1]:443", ""},
                                     {"[2001:db8::1]:80", "not_allowed"},
                                     {"2001:db9::1", "not_allowed"},
                                     {"fd00::1", ""},
                                     {"fd00::2", "local"},
                                     {"::1", "never"},
                                     {"64:ff9b::203.0.113.2", "never"}}) {
    request.host = host;
    EXPECT_EQ(AskPolicy(request)->reason, reason) << host;
  }
  request.host = "[fd00::2]:80";
  EXPECT_EQ(AskPolicy(request)->rule, "[fd00::2]:80");
  request.host = "2001:db8::/64";
  EXPECT_FALSE(AskPolicy(request).ok());
}

}  // namespace
}  // namespace pyro::engine
