// The common part of the tests of a router: frames, ports that take notes, and time.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "supervisor/command_router.h"
#include "supervisor/testing/fake_timers.h"

namespace pyro::supervisor {

using wire::Frame;
using wire::FrameType;
using wire::Stream;

inline std::vector<Frame> Decode(std::string& bytes) {
  wire::FrameDecoder decoder;
  decoder.Append(bytes);
  bytes.clear();
  std::vector<Frame> frames;
  while (true) {
    auto frame = decoder.Next();
    if (!frame || !*frame) return frames;
    frames.push_back(std::move(**frame));
  }
}

inline Frame ExecFrame(std::uint32_t channel, std::int64_t timeout_ms = 0) {
  wire::Exec exec;
  exec.argv = {"true"};
  exec.cwd = "/";
  exec.timeout_ms = timeout_ms;
  return exec.ToFrame(channel);
}

inline Frame DataFrame(std::uint32_t channel, Stream stream, std::size_t bytes) {
  Frame frame;
  frame.type = FrameType::kData;
  frame.channel = channel;
  frame.stream = stream;
  frame.payload = std::string(bytes, 'x');
  return frame;
}

inline Frame EofFrame(std::uint32_t channel, Stream stream) {
  Frame frame;
  frame.type = FrameType::kEof;
  frame.channel = channel;
  frame.stream = stream;
  return frame;
}

inline Frame CreditFrame(std::uint32_t channel, Stream stream, std::uint32_t bytes) {
  std::string encoded = wire::EncodeCredit(channel, stream, bytes);
  return Decode(encoded).at(0);
}

inline Frame ExitedFrame(std::uint32_t channel) { return wire::Exited{}.ToFrame(channel); }

// Ports that take notes.
class CommandPortsTest : public ::testing::Test, private CommandPorts {
 protected:
  std::vector<Frame> ToGuest() { return Decode(to_guest_); }
  std::vector<Frame> ToClient(ClientId client) { return Decode(to_client_[client]); }
  CommandPorts& ports() { return *this; }

  std::string to_guest_;
  std::map<ClientId, std::string> to_client_;
  int use_changes_ = 0;
  int journaled_changes_ = 0;
  FakeTimers timers_;

 private:
  void ToGuest(std::string bytes) override { to_guest_ += bytes; }
  void ToClient(ClientId client, std::string bytes) override { to_client_[client] += bytes; }
  void GivingUp() override {}
  void JournalWritten() override {}
  void UseChanged(bool journaled) override {
    ++use_changes_;
    if (journaled) ++journaled_changes_;
  }
};

class CommandRouterTest : public CommandPortsTest {
 protected:
  explicit CommandRouterTest(CommandJournal* journal = nullptr)
      : router_(ports(), timers_, journal) {}

  // Starts one command and returns the guest's channel for it.
  std::uint32_t Begin(ClientId client, std::uint32_t channel, std::int64_t timeout_ms = 0) {
    EXPECT_TRUE(router_.FromClient(client, ExecFrame(channel, timeout_ms)).ok());
    const auto frames = ToGuest();
    EXPECT_EQ(frames.size(), 1u);
    return frames.at(0).channel;
  }

  Status Exit(std::uint32_t guest_channel) {
    EXPECT_TRUE(router_.FromGuest(EofFrame(guest_channel, Stream::kStdout)).ok());
    EXPECT_TRUE(router_.FromGuest(EofFrame(guest_channel, Stream::kStderr)).ok());
    return router_.FromGuest(ExitedFrame(guest_channel));
  }

  CommandRouter router_;
};

}  // namespace pyro::supervisor
