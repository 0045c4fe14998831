// The agent over a socket instead of a port and without cgroups, as a process that a test starts.

#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "agent/agent.h"
#include "agent/testing/no_trees.h"
#include "base/check.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/test_directory.h"
#include "wire/credit.h"

namespace pyro::agent {

// For commands that get the setup's signal at the end.
inline constexpr std::chrono::milliseconds kStopLimit{500};

// `sync_gate`: a sync reads one byte of it first; 'e' makes it fail.
[[noreturn]] inline void RunAgent(sys::UniqueFd port, sys::UniqueFd sync_gate) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  NoTrees trees;
  AgentOptions options;
  options.port = std::move(port);
  options.build = "b1";
  options.kernel = "k1";
  options.trees = &trees;
  int stop_signal = 0;
  options.setup = [&stop_signal](const wire::GuestSetup& setup) {
    stop_signal = static_cast<int>(setup.stop_signal);
    return OkStatus();
  };
  options.sync = [&sync_gate]() -> Status {
    char byte = 0;
    PYRO_CHECK(::read(sync_gate.get(), &byte, 1) == 1);
    return byte == 'e' ? Status(sys::ErrnoError(EIO, "sync")) : OkStatus();
  };
  bool well = false;
  {
    // Its end kills the commands that still run.
    auto agent = Agent::Create(std::move(options));
    well = agent.ok() && (*agent)->Serve().ok();
    if (well && stop_signal != 0) (*agent)->EndCommands(stop_signal, kStopLimit);
  }
  ::_exit(well ? 0 : 1);
}

struct Ran {
  wire::Exited exited;
  std::string out;
  std::string err;
};

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = sys::MakeSocketPair();
    ASSERT_TRUE(pair.ok());
    ASSERT_TRUE(sys::SetNonBlocking(pair->second.get()).ok());
    auto gate = sys::MakePipe();
    ASSERT_TRUE(gate.ok());
    agent_ = ::fork();
    if (agent_ == 0) {
      pair->first.Reset();
      gate->write.Reset();
      RunAgent(std::move(pair->second), std::move(gate->read));
    }
    socket_ = std::move(pair->first);
    sync_gate_ = std::move(gate->write);
    sync_gate_end_ = std::move(gate->read);
    ASSERT_EQ(Take(0).type, wire::FrameType::kHello);
    Send(wire::Hello{wire::kProtocolVersion, "supervisor", "b1", ""}.ToFrame());
    wire::GuestSetup setup;
    setup.entropy = std::string(32, 'x');
    setup.stop_signal = stop_signal_;
    Send(setup.ToFrame());
    ASSERT_EQ(Take(0).type, wire::FrameType::kReady);
  }

  void TearDown() override { PowerOff(); }

  // Returns when the agent has ended.
  void PowerOff() {
    if (agent_ <= 0) return;
    Send(wire::Plain(wire::FrameType::kPowerOff));
    sync_gate_.Reset();  // A sync that a failed test has left waiting aborts the agent.
    ::waitpid(std::exchange(agent_, -1), nullptr, 0);
  }

  void Write(std::string_view bytes) { PYRO_CHECK(sys::WriteAll(socket_.get(), bytes).ok()); }
  void Send(const wire::Frame& frame) { Write(wire::EncodeFrame(frame)); }

  // The next frame of any channel, kept ones first.
  wire::Frame Next() {
    while (true) {
      auto frame = decoder_.Next();
      PYRO_CHECK(frame.ok());
      if (*frame) return std::move(**frame);
      pollfd poll{socket_.get(), POLLIN, 0};
      PYRO_CHECK(::poll(&poll, 1, 60'000) == 1);  // Or the agent hangs.
      char buffer[65536];
      const ssize_t n = ::read(socket_.get(), buffer, sizeof buffer);
      PYRO_CHECK(n > 0);  // Or the agent died.
      decoder_.Append({buffer, static_cast<std::size_t>(n)});
    }
  }

  // The next frame of that channel; others are kept.
  wire::Frame Take(std::uint32_t channel) {
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
      if (it->channel != channel) continue;
      wire::Frame frame = std::move(*it);
      kept_.erase(it);
      return frame;
    }
    while (true) {
      wire::Frame frame = Next();
      if (frame.channel == channel) return frame;
      kept_.push_back(std::move(frame));
    }
  }

  std::uint32_t Start(std::vector<std::string> argv, std::map<std::string, std::string> env = {},
                      std::string cwd = "/") {
    wire::Exec exec;
    exec.argv = std::move(argv);
    exec.env = std::move(env);
    exec.cwd = std::move(cwd);
    Send(exec.ToFrame(++channel_));
    return channel_;
  }
  std::uint32_t StartAs(std::string user, std::string script) {
    wire::Exec exec;
    exec.argv = {"sh", "-c", std::move(script)};
    exec.cwd = "/";
    exec.user = std::move(user);
    Send(exec.ToFrame(++channel_));
    return channel_;
  }
  std::uint32_t StartMaking(std::string cwd, std::string user, std::string script) {
    wire::Exec exec;
    exec.argv = {"sh", "-c", std::move(script)};
    exec.cwd = std::move(cwd);
    exec.user = std::move(user);
    exec.make_cwd = true;
    Send(exec.ToFrame(++channel_));
    return channel_;
  }
  std::uint32_t StartSynced(std::string script) {
    wire::Exec exec;
    exec.argv = {"sh", "-c", std::move(script)};
    exec.cwd = "/";
    exec.sync = true;
    Send(exec.ToFrame(++channel_));
    return channel_;
  }
  void EndSync(char how = 'g') { PYRO_CHECK(sys::WriteAll(sync_gate_.get(), {&how, 1}).ok()); }
  std::uint32_t Shell(std::string script) { return Start({"sh", "-c", std::move(script)}); }

  // Feeds the command `input` as credit allows and collects what it says until it has ended.
  Ran Finish(std::uint32_t channel, std::string_view input = {}) {
    Ran ran;
    wire::SendWindow window;
    wire::ReceiveWindow receive[2];
    bool eof_sent = false;
    while (true) {
      while (!input.empty() && window.available() > 0) {
        const auto piece = input.substr(0, std::min(window.available(), wire::kMaxDataBytes));
        Write(wire::EncodeData(channel, wire::Stream::kStdin, piece));
        window.Sent(piece.size());
        input.remove_prefix(piece.size());
      }
      if (input.empty() && !std::exchange(eof_sent, true)) {
        Write(wire::EncodeEof(channel, wire::Stream::kStdin));
      }
      const wire::Frame frame = Take(channel);
      if (frame.type == wire::FrameType::kExited) {
        auto exited = wire::Exited::FromFrame(frame);
        PYRO_CHECK(exited.ok());
        ran.exited = *exited;
        return ran;
      }
      if (frame.type == wire::FrameType::kCredit) {
        EXPECT_TRUE(window.Granted(*wire::DecodeCredit(frame)).ok());
      } else if (frame.type == wire::FrameType::kData) {
        auto& mine = receive[frame.stream == wire::Stream::kStdout ? 0 : 1];
        EXPECT_TRUE(mine.Received(frame.payload.size()).ok());
        (frame.stream == wire::Stream::kStdout ? ran.out : ran.err) += frame.payload;
        if (const auto grant = mine.Consumed(frame.payload.size()); grant > 0) {
          Write(wire::EncodeCredit(channel, frame.stream, grant));
        }
      }
    }
  }

  Ran Run(std::vector<std::string> argv) { return Finish(Start(std::move(argv))); }

  // Everything of the channel up to the first byte that `until` ends, without granting credit.
  std::string ReadUntil(std::uint32_t channel, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
      const wire::Frame frame = Take(channel);
      PYRO_CHECK(frame.type != wire::FrameType::kExited);
      if (frame.type == wire::FrameType::kData) text += frame.payload;
    }
    return text;
  }

  std::string MakeFifo(const char* name) {
    const std::string path = directory_.path() / name;
    PYRO_CHECK(::mkfifo(path.c_str(), 0600) == 0);
    return path;
  }

  sys::TestDirectory directory_;
  sys::UniqueFd socket_;
  sys::UniqueFd sync_gate_;
  sys::UniqueFd sync_gate_end_;  // So that a byte too many is no error.
  pid_t agent_ = -1;
  int stop_signal_ = 0;  // Of the setup; 0: none.
  wire::FrameDecoder decoder_;
  std::deque<wire::Frame> kept_;
  std::uint32_t channel_ = 0;
};

}  // namespace pyro::agent
