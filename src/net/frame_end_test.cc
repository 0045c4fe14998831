#include "net/frame_end.h"

#include <sys/socket.h>

#include <string>

#include <gtest/gtest.h>

#include "sys/unique_fd.h"

namespace pyro::net {
namespace {

std::string FrameOf(char c, std::size_t bytes) {
  const std::string content(bytes, c);
  std::string stream;
  AppendFrame(stream, Frame(reinterpret_cast<const std::uint8_t*>(content.data()), bytes));
  return stream;
}

class PacketsTest : public testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    ours_ = sys::UniqueFd(fds[0]);
    theirs_ = sys::UniqueFd(fds[1]);
  }

  // The size of the next packet; -1: there is none.
  ssize_t Take() {
    char bytes[2048];
    return ::recv(theirs_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  }

  sys::UniqueFd ours_;
  sys::UniqueFd theirs_;
  SocketState state_ = SocketState::kOpen;
};

TEST_F(PacketsTest, EachFrameIsAPacketOfItsOwnWhereverTheStreamIsCut) {
  FrameEnd end(ours_.get(), vmm::FrameForm::kPackets);
  for (const char c : FrameOf('a', 100) + FrameOf('b', 60)) {
    end.output().push_back(c);
    ASSERT_TRUE(end.Flush(state_).ok());
    EXPECT_EQ(end.pending(), 0u) << "part of a frame does not wait for the other side";
  }
  EXPECT_EQ(Take(), 100);
  EXPECT_EQ(Take(), 60);
  EXPECT_EQ(Take(), -1);
}

TEST_F(PacketsTest, PacketsAreReadAsAStream) {
  FrameEnd end(ours_.get(), vmm::FrameForm::kPackets);
  ASSERT_EQ(::send(theirs_.get(), std::string(14, 'a').data(), 14, 0), 14);
  ASSERT_EQ(::send(theirs_.get(), std::string(20, 'b').data(), 20, 0), 20);
  const auto bytes = end.Read(state_);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(*bytes, FrameOf('a', 14) + FrameOf('b', 20));
  theirs_.Reset();
  ASSERT_TRUE(end.Read(state_).ok());
  EXPECT_EQ(state_, SocketState::kClosed);
}

TEST_F(PacketsTest, WhatTheOtherSideDoesNotTakeWaits) {
  FrameEnd end(ours_.get(), vmm::FrameForm::kPackets);
  constexpr int kFrames = 1000;
  for (int i = 0; i < kFrames; ++i) end.output() += FrameOf('x', 1500);
  ASSERT_TRUE(end.Flush(state_).ok());
  EXPECT_GT(end.pending(), 0u);
  int taken = 0;
  while (taken < kFrames && Take() == 1500) {
    ++taken;
    ASSERT_TRUE(end.Flush(state_).ok());
  }
  EXPECT_EQ(taken, kFrames);
  EXPECT_EQ(end.pending(), 0u);
}

}  // namespace
}  // namespace pyro::net
