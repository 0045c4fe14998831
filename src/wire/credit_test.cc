#include "wire/credit.h"

#include <gtest/gtest.h>

namespace pyro::wire {
namespace {

TEST(CreditTest, ASenderAndAReceiverNeverBlockEachOther) {
  SendWindow sender;
  ReceiveWindow receiver;
  std::size_t moved = 0;
  for (int round = 0; round < 10000; ++round) {
    const std::size_t bytes = std::min<std::size_t>(
        sender.available(), 1 + static_cast<std::size_t>(round) * 7919 % kMaxDataBytes);
    ASSERT_GT(bytes, 0u);
    sender.Sent(bytes);
    ASSERT_TRUE(receiver.Received(bytes).ok());
    moved += bytes;
    if (const std::uint32_t grant = receiver.Consumed(bytes); grant > 0) {
      ASSERT_TRUE(sender.Granted(grant).ok());
    }
    ASSERT_LE(sender.available(), kInitialCredit);
  }
  EXPECT_GT(moved, std::size_t{kInitialCredit} * 100);
}

TEST(CreditTest, ASenderThatTakesMoreIsCaught) {
  ReceiveWindow receiver;
  EXPECT_TRUE(receiver.Received(kInitialCredit).ok());
  EXPECT_EQ(receiver.Received(1).error().code, ErrorCode::kProtocol);
}

TEST(CreditTest, AbsurdGrantsAreRefused) {
  SendWindow sender;
  EXPECT_FALSE(sender.Granted(UINT32_MAX).ok());
  EXPECT_EQ(sender.available(), kInitialCredit);
}

}  // namespace
}  // namespace pyro::wire
