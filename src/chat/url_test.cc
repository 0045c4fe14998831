#include "chat/url.h"

#include <gtest/gtest.h>

namespace pyro::chat {
namespace {

TEST(UrlTest, AddressesComeApartAndTogether) {
  const Url plain = *ParseUrl("http://localhost:11434/v1");
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.host, "localhost");
  EXPECT_EQ(plain.port, "11434");
  EXPECT_EQ(plain.path, "/v1");
  EXPECT_EQ(plain.Text(), "http://localhost:11434/v1");
  EXPECT_TRUE(plain.IsLoopback());
  const Url tls = *ParseUrl("https://models.example/api//");
  EXPECT_TRUE(tls.tls);
  EXPECT_EQ(tls.port, "443");
  EXPECT_EQ(tls.Text(), "https://models.example/api");
  EXPECT_FALSE(tls.IsLoopback());
  const Url six = *ParseUrl("http://[::1]:80");
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.Text(), "http://[::1]");
  EXPECT_TRUE(six.IsLoopback());
  EXPECT_TRUE(ParseUrl("http://127.1.2.3")->IsLoopback());
}

TEST(UrlTest, ANameThatOnlyBeginsLikeAnAddressOfThisMachineIsNotOne) {
  EXPECT_FALSE(ParseUrl("http://127.0.0.1.example")->IsLoopback());
  EXPECT_FALSE(ParseUrl("http://localhost.example")->IsLoopback());
}

TEST(UrlTest, WhatIsNoAddressIsRefused) {
  for (const char* text :
       {"", "localhost", "ftp://x", "http://", "http:///v1", "http://a b", "http://u@h",
        "http://h:", "http://h:0", "http://h:65536", "http://h:x", "http://h/a?b", "http://h/a#b",
        "http://h/a b", "http://[::1", "http://[::1]x", "http://[gg]", "http://h\r\nX: y",
        "http://h/\r\nX: y"}) {
    const auto url = ParseUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(url.error().hint.empty());
  }
  EXPECT_FALSE(ParseUrl("http://h/" + std::string(3000, 'x')).ok());
}

}  // namespace
}  // namespace pyro::chat
