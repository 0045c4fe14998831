#include "front/mcp/environment_builds.h"

#include <poll.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "sys/files.h"

namespace pyro::mcp_server {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLong{600'000};

// A build waits in the step "install" until Go().
class EnvironmentBuildsTest : public engine::EngineFixture {
 protected:
  EnvironmentBuildsTest() {
    world_.building = [this](int cancel_fd) -> Status {
      ++begun_;
      std::array<pollfd, 2> polls = {{{gate_.read.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}}};
      (void)::poll(polls.data(), polls.size(), -1);
      return polls[1].revents == 0 ? OkStatus() : MakeError(ErrorCode::kCancelled, "stopped");
    };
  }

  void Go() { gate_.write.Reset(); }

  sys::Pipe gate_ = std::move(sys::MakePipe()).value();
  std::atomic<int> begun_ = 0;
};

TEST_F(EnvironmentBuildsTest, ACallThatIsTooLateSaysHowFarTheBuildIsAndTheNextOneJoinsIt) {
  EnvironmentBuilds builds(*engine_);
  // Only when the build has come to its step does the first call end.
  std::string step;
  for (int i = 0; i < 600 && step.find("'install', 50 % of it done") == std::string::npos; ++i) {
    const Status late = builds.Await(Vm(), milliseconds(100), {});
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(late.error().message.find("is being built"), std::string::npos);
    EXPECT_NE(late.error().hint.find("again"), std::string::npos);
    step = late.error().message;
  }
  EXPECT_NE(step.find("'install', 50 % of it done"), std::string::npos) << step;
  Status first;
  std::thread other([&] { first = builds.Await(Vm(), kLong, {}); });
  Go();
  const Status second = builds.Await(Vm(), kLong, {});
  other.join();
  EXPECT_TRUE(first) << first.error().message;
  EXPECT_TRUE(second) << second.error().message;
  EXPECT_EQ(begun_, 1);
  EXPECT_TRUE(engine_->InspectEnvironment(Vm().environment, Engine::Verify::kNo));
  EXPECT_TRUE(builds.Await(Vm(), milliseconds(0), {}));
}

TEST_F(EnvironmentBuildsTest, ACallThatIsCancelledLeavesTheBuildToTheNext) {
  EnvironmentBuilds builds(*engine_);
  auto cancel = sys::MakePipe();
  ASSERT_TRUE(cancel);
  cancel->write.Reset();
  CallIo io;
  io.cancel_fd = cancel->read.get();
  const Status cancelled = builds.Await(Vm(), kLong, io);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  Go();
  EXPECT_TRUE(builds.Await(Vm(), kLong, {}));
  EXPECT_EQ(begun_, 1);
}

TEST_F(EnvironmentBuildsTest, AFailureIsTheCallsOwnAndTheNextCallTriesAgain) {
  EnvironmentBuilds builds(*engine_);
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror", "try later");
  const Status failed = builds.Await(Vm(), kLong, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "no mirror");
  VmOptions on_host = Vm();
  on_host.allow_host_compat = true;
  EXPECT_TRUE(builds.Await(on_host, kLong, {}));
  world_.build = OkStatus();
  Go();
  EXPECT_TRUE(builds.Await(Vm(), kLong, {}));
}

TEST_F(EnvironmentBuildsTest, ABuildThatCannotBeStoppedDelaysNoEnd) {
  std::atomic<bool> stopped = false;
  world_.building = [&](int cancel_fd) -> Status {
    pollfd cancel = {cancel_fd, POLLIN, 0};
    (void)::poll(&cancel, 1, -1);
    stopped = true;
    pollfd gate = {gate_.read.get(), POLLIN, 0};
    (void)::poll(&gate, 1, -1);
    return MakeError(ErrorCode::kCancelled, "stopped");
  };
  EnvironmentBuilds builds(*engine_);
  (void)builds.Await(Vm(), milliseconds(0), {});
  EXPECT_FALSE(builds.Stop(Deadline::After(milliseconds(0))));
  while (!stopped) EXPECT_FALSE(builds.Stop(Deadline::After(milliseconds(10))));
  Go();
  EXPECT_TRUE(builds.Stop(Deadline::After(kLong)));
}

TEST_F(EnvironmentBuildsTest, TheEndStopsABuild) {
  {
    EnvironmentBuilds builds(*engine_);
    (void)builds.Await(Vm(), milliseconds(0), {});
  }
  EXPECT_FALSE(engine_->InspectEnvironment(Vm().environment, Engine::Verify::kNo));
}

TEST_F(EnvironmentBuildsTest, AnImageThatIsNamedWithItsPrefixIsPulled) {
  Go();
  EnvironmentBuilds builds(*engine_);
  VmOptions options = Vm();
  options.environment = "localhost:5000/team/app";
  EXPECT_EQ(builds.Await(options, kLong, {}).error().code, ErrorCode::kNotFound);
  options.environment = "oci:localhost:5000/team/app";
  const Status pulled = builds.Await(options, kLong, {});
  EXPECT_TRUE(pulled) << pulled.error().message;
  options.environment = "localhost:5000/team/app";
  EXPECT_TRUE(builds.Await(options, kLong, {}));
}

}  // namespace
}  // namespace pyro::mcp_server
