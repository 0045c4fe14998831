#include "mcp/server/state_token.h"

#include <gtest/gtest.h>

#include "mcp/protocol/crypto.h"

namespace pyro::mcp {
namespace {

class FakeClock final : public Clock {
 public:
  WallTime Now() const override { return now; }
  WallTime now{std::chrono::milliseconds(1'000'000)};
};

class StateSealerTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  StateSealer sealer_{std::chrono::minutes(5), clock_, "key"};
  Json payload_ = Json::parse(R"({"name": {"action": "accept"}})");
};

TEST_F(StateSealerTest, WhatWasSealedComesBack) {
  const auto opened = sealer_.Open(sealer_.Seal(payload_, "call"), "call");
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(*opened, payload_);
}

TEST_F(StateSealerTest, NoBitCanBeChanged) {
  const std::string token = sealer_.Seal(payload_, "call");
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string other = token;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(sealer_.Open(other, "call").ok()) << i;
  }
  EXPECT_FALSE(sealer_.Open(token + "-TAMPERED", "call").ok());
  EXPECT_FALSE(sealer_.Open(token.substr(0, token.size() - 1), "call").ok());
  EXPECT_FALSE(sealer_.Open("", "call").ok());
  EXPECT_FALSE(sealer_.Open(".", "call").ok());
}

TEST_F(StateSealerTest, IsGoodForItsOwnCallOnly) {
  EXPECT_FALSE(sealer_.Open(sealer_.Seal(payload_, "call"), "another").ok());
}

TEST_F(StateSealerTest, IsOfItsOwnProcessOnly) {
  const StateSealer other(std::chrono::minutes(5), clock_);
  EXPECT_FALSE(other.Open(sealer_.Seal(payload_, "call"), "call").ok());
}

TEST_F(StateSealerTest, Expires) {
  const std::string token = sealer_.Seal(payload_, "call");
  clock_.now += std::chrono::minutes(5);
  EXPECT_TRUE(sealer_.Open(token, "call").ok());
  clock_.now += std::chrono::milliseconds(1);
  EXPECT_FALSE(sealer_.Open(token, "call").ok());
}

TEST_F(StateSealerTest, TooLongATokenIsRefused) {
  EXPECT_FALSE(sealer_.Open(std::string(kMaxStateBytes + 1, 'A'), "call").ok());
}

// RFC 4231, test case 2.
TEST(CryptoTest, HmacIsTheOneOfTheRfc) {
  std::string hex;
  for (const unsigned char byte : HmacSha256("Jefe", "what do ya want for nothing?")) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  EXPECT_EQ(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(CryptoTest, SecretsAreEqualOnlyWhenTheyAre) {
  EXPECT_TRUE(SecretsEqual("secret", "secret"));
  EXPECT_FALSE(SecretsEqual("secreT", "secret"));
  EXPECT_FALSE(SecretsEqual("", "secret"));
  EXPECT_FALSE(SecretsEqual("secret ", "secret"));
}

}  // namespace
}  // namespace pyro::mcp
