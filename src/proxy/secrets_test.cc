#include "proxy/secrets.h"

#include <gtest/gtest.h>

#include "proxy/config.h"

namespace pyro::proxy {
namespace {

using Kind = PutIn::Kind;

constexpr char kToken[] = "pyro-secret-1111";
constexpr char kKey[] = "pyro-secret-2222";
const Origin kApi{"api.example", 443, true};

RequestHead Head(std::initializer_list<std::pair<const char*, const char*>> fields,
                 const char* target = "/") {
  RequestHead head;
  head.method(http::verb::get);
  head.target(target);
  head.version(11);
  for (const auto& [name, value] : fields) head.insert(name, value);
  return head;
}

Secrets Two() {
  return Secrets({{"TOKEN", kToken, "value-of-token", {{"api.example", 443}}},
                  {"KEY", kKey, "value-of-key", {{"api.example", 443}, {"key.example", 8443}}}});
}

TEST(SecretsTest, AHeadWithoutAPlaceholderIsLeftAlone) {
  Secrets secrets = Two();
  RequestHead head = Head({{"Host", "api.example"}, {"Authorization", "Basic dXNlcjpwYXNz"}});
  EXPECT_EQ(secrets.PutInto(kApi, head).kind, Kind::kNothing);
  EXPECT_EQ(head["Authorization"], "Basic dXNlcjpwYXNz");
}

TEST(SecretsTest, EachPlaceholderInAFieldBecomesItsValue) {
  Secrets secrets = Two();
  RequestHead head = Head({{"Host", "api.example"},
                           {"Authorization", "Bearer pyro-secret-1111"},
                           {"Cookie", "a=pyro-secret-1111; b=pyro-secret-2222"},
                           {"Cookie", "c=pyro-secret-2222"}});
  EXPECT_EQ(secrets.PutInto(kApi, head).kind, Kind::kDone);
  EXPECT_EQ(HeadText(head),
            "GET / HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer value-of-token\r\n"
            "Cookie: a=value-of-token; b=value-of-key\r\nCookie: c=value-of-key\r\n\r\n");
}

TEST(SecretsTest, CredentialsOfBasicAuthenticationAreLookedInto) {
  Secrets secrets = Two();
  // user:pyro-secret-1111
  RequestHead head = Head({{"authorization", "basic dXNlcjpweXJvLXNlY3JldC0xMTEx"}});
  EXPECT_EQ(secrets.PutInto(kApi, head).kind, Kind::kDone);
  EXPECT_EQ(head["Authorization"], "Basic dXNlcjp2YWx1ZS1vZi10b2tlbg==");
  // What a server gives back of it.
  EXPECT_EQ(secrets.mask().Hide("x dXNlcjp2YWx1ZS1vZi10b2tlbg== x"),
            "x dXNlcjp[secret TOKEN]****g== x");
}

TEST(SecretsTest, AValueIsHiddenInBase64WhereverItBegins) {
  const Secrets secrets(
      {{"A", "pyro-secret-aaaa", "\x7e\x3f\x7e?~?value~~?", {{"a.example", 443}}}});
  for (const char* text : {"fj9+P34/dmFsdWV+fj8=", "eH4/fj9+P3ZhbHVlfn4/",
                           "eHh+P34/fj92YWx1ZX5+Pw==", "fj9-P34_dmFsdWV-fj8="}) {
    const std::string masked = secrets.mask().Hide(text);
    EXPECT_NE(masked.find("[secret A]"), std::string::npos) << text << " " << masked;
  }
}

TEST(SecretsTest, WhatIsNoStrictBase64StaysAsItIs) {
  Secrets secrets = Two();
  for (const char* value : {"Basic", "Basic ===", "Basic dXNlcjpweXJv=", "Basic \xff",
                            "Basic dXNlcjpweXJvLXNlY3JldC0xMTEy"}) {
    RequestHead head = Head({{"Authorization", value}});
    EXPECT_EQ(secrets.PutInto(kApi, head).kind, Kind::kNothing) << value;
    EXPECT_EQ(head["Authorization"], value);
  }
}

TEST(SecretsTest, APlaceholderElsewhereIsRefused) {
  Secrets secrets = Two();
  const auto ask = [&](const Origin& origin, RequestHead head) {
    const std::string before = HeadText(head);
    const PutIn put = secrets.PutInto(origin, head);
    EXPECT_EQ(HeadText(head), before);
    return put.kind;
  };
  const char* bearer = "Bearer pyro-secret-1111";
  EXPECT_EQ(ask({"key.example", 8443, true}, Head({{"Authorization", bearer}})), Kind::kElsewhere);
  EXPECT_EQ(ask({"api.example", 8443, true}, Head({{"Authorization", bearer}})), Kind::kElsewhere);
  EXPECT_EQ(ask({"api.example", 443, false}, Head({{"Authorization", bearer}})), Kind::kPlain);
  EXPECT_EQ(ask(kApi, Head({}, "/?key=pyro-secret-1111")), Kind::kPlace);
  EXPECT_EQ(ask(kApi, Head({{"X-pyro-secret-1111", "a"}})), Kind::kPlace);
  EXPECT_EQ(ask({"other.example", 443, true},
                Head({{"Authorization", "Basic dXNlcjpweXJvLXNlY3JldC0xMTEx"}})),
            Kind::kElsewhere);
  // One of two is not for this host.
  EXPECT_EQ(ask({"key.example", 8443, true}, Head({{"A", kKey}, {"B", kToken}})), Kind::kElsewhere);
}

TEST(SecretsTest, AValueThatHasAPlaceholderIsNotLookedInto) {
  Secrets secrets({{"A", "pyro-secret-aaaa", "has-pyro-secret-bbbb", {{"api.example", 443}}},
                   {"B", "pyro-secret-bbbb", "value-of-b", {{"api.example", 443}}}});
  RequestHead head = Head({{"X", "pyro-secret-aaaa"}});
  EXPECT_EQ(secrets.PutInto(kApi, head).kind, Kind::kDone);
  EXPECT_EQ(head["X"], "has-pyro-secret-bbbb");
}

TEST(SecretsTest, AValueIsHiddenAsTextOfJsonToo) {
  const Secrets secrets({{"A", "pyro-secret-aaaa", R"(with"quote\and)", {{"api.example", 443}}}});
  EXPECT_EQ(secrets.mask().Hide(R"({"a":"with\"quote\\and"})").find("quote"), std::string::npos);
}

TEST(SecretsTest, AValueIsHiddenAsEachWriterOfJsonEscapesIt) {
  const Secrets secrets({{"A", "pyro-secret-aaaa", "ab/cd+ef&gh<ij'kl=", {{"a.example", 443}}}});
  for (const char* text : {R"("ab\/cd+ef&gh<ij'kl=")", R"("ab/cd+ef\u0026gh\u003cij'kl=")",
                           R"("ab/cd+ef\u0026gh\u003cij\u0027kl\u003d")",
                           R"("ab/cd\u002Bef\u0026gh\u003Cij\u0027kl=")"}) {
    const std::string masked = secrets.mask().Hide(text);
    EXPECT_TRUE(masked.starts_with("\"[secret A]")) << text << " " << masked;
    EXPECT_EQ(masked.size(), std::string_view(text).size());
    EXPECT_EQ(masked.find("kl"), std::string::npos) << masked;
  }
}

TEST(SecretsTest, AHeadThatGrowsPastItsLimitIsRefused) {
  Secrets secrets({{"A", "pyro-secret-aaaa", std::string(4000, 'v'), {{"api.example", 443}}}});
  RequestHead head = Head({{"Host", "api.example"}});
  for (int i = 0; i < 16; ++i) head.insert("A", "pyro-secret-aaaa");
  RequestHead longer = head;
  EXPECT_EQ(secrets.PutInto(kApi, head).kind, Kind::kDone);
  EXPECT_LE(HeadText(head).size(), kMaxHeadBytes);
  longer.insert("A", "pyro-secret-aaaa");
  const std::string before = HeadText(longer);
  EXPECT_EQ(secrets.PutInto(kApi, longer).kind, Kind::kTooLong);
  EXPECT_EQ(HeadText(longer), before);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "pyro-secret-aaaa";
  RequestHead one = Head({{"A", many.c_str()}});
  EXPECT_EQ(secrets.PutInto(kApi, one).kind, Kind::kTooLong);
}

TEST(ConfigTest, ValuesThatNoFieldMayHaveAreRefusedWithoutTheValue) {
  for (const char* value : {"short", "with\nnewline", "with\r\nX: y", " begins-so", "ends-so ",
                            "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", ""}) {
    const auto made = ToSecrets({{"A", "p", value, "api.example:443"}});
    ASSERT_FALSE(made.ok()) << value;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
    if (*value != '\0') {
      EXPECT_EQ(made.error().message.find(value), std::string::npos);
    }
  }
  EXPECT_FALSE(ToSecrets({{"A", "p", "long-enough", "api.example"}}).ok());
  EXPECT_FALSE(ToSecrets({{"A", "", "long-enough", "api.example:443"}}).ok());
  EXPECT_TRUE(ToSecrets({{"A", "p", "long enough", "api.example:443 b.example:1"}}).ok());
}

TEST(ConfigTest, TheConfigurationComesBackAsItWas) {
  ProxyConfig config;
  config.secrets = {{"A", "pyro-secret-1", "value-of-a", "api.example:443"}};
  config.orders.policy = *net::Policy::Parse("allow api.example:443");
  config.orders.served = {{"api.example", 443}};
  config.trust = "pem";
  const auto parsed = ParseProxyConfig(FormatProxyConfig(config));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->secrets.at(0).value, "value-of-a");
  EXPECT_EQ(parsed->orders.served, config.orders.served);
  EXPECT_EQ(parsed->orders.policy, config.orders.policy);
  EXPECT_EQ(parsed->trust, "pem");
}

TEST(ConfigTest, WhatTheProxySaysIsADenialOrItsCertificate) {
  const auto ready = ParseProxySays(FormatReady({"pem"}));
  ASSERT_TRUE(ready.ok());
  EXPECT_EQ(std::get<ProxyReady>(*ready).certificate, "pem");
  const net::Denial denial{
      .reason = net::Reason::kSecretPlain, .protocol = "tcp", .name = "api.example", .port = 80};
  const auto told = ParseProxySays(net::FormatDenial(denial));
  ASSERT_TRUE(told.ok());
  EXPECT_EQ(std::get<net::Denial>(*told), denial);
  for (const char* bad : {"", "{}", "[]", "{\"certificate\":1}"}) {
    EXPECT_FALSE(ParseProxySays(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace pyro::proxy
