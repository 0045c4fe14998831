#include "agent/byte_queue.h"

#include <cstring>
#include <string>

#include <gtest/gtest.h>

namespace pyro::agent {
namespace {

TEST(ByteQueueTest, KeepsOrderForAllSizes) {
  ByteQueue queue;
  std::string expected;
  std::string taken;
  for (std::size_t round = 0; round < 2000; ++round) {
    const std::string piece(round * 7919 % 5000, static_cast<char>('a' + round % 26));
    expected += piece;
    if (round % 2 == 0) {
      queue.Append(piece);
    } else {
      std::memcpy(queue.Prepare(piece.size() + 100), piece.data(), piece.size());
      queue.Commit(piece.size());
    }
    const std::size_t bytes = std::min(queue.size(), round * 104729 % 5200);
    taken += queue.front().substr(0, bytes);
    queue.Consume(bytes);
  }
  taken += queue.front();
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(taken, expected);
}

TEST(ByteQueueTest, WhatIsPreparedIsNotQueuedYet) {
  ByteQueue queue;
  queue.Append("abc");
  std::memcpy(queue.Prepare(3), "def", 3);
  EXPECT_EQ(queue.front(), "abc");
  queue.Commit(2);
  EXPECT_EQ(queue.front(), "abcde");
}

}  // namespace
}  // namespace pyro::agent
