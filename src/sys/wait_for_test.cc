#include "sys/wait_for.h"

#include <sys/time.h>

#include <chrono>
#include <csignal>

#include <gtest/gtest.h>

#include "sys/files.h"

namespace pyro::sys {
namespace {

using namespace std::chrono_literals;

TEST(WaitForTest, WhatIsReadyEndsItAndWhatIsNotTakesItsTime) {
  const Pipe pipe = *MakePipe();
  EXPECT_EQ(WaitFor(pipe.write.get(), POLLOUT, Deadline::Never()), Waited::kReady);
  EXPECT_FALSE(IsReady(pipe.read.get()));
  const Deadline deadline = Deadline::After(20ms);
  EXPECT_EQ(WaitFor(pipe.read.get(), POLLIN, deadline), Waited::kTimedOut);
  EXPECT_TRUE(deadline.Expired());
  ASSERT_TRUE(WriteAll(pipe.write.get(), "x").ok());
  EXPECT_EQ(WaitFor(pipe.read.get(), POLLIN, Deadline::Never()), Waited::kReady);
  EXPECT_TRUE(IsReady(pipe.read.get()));
  EXPECT_FALSE(IsReady(-1));
}

TEST(WaitForTest, AClosedEndIsReadyForTheCallThatTellsSo) {
  Pipe pipe = *MakePipe();
  pipe.write.Reset();
  EXPECT_EQ(WaitFor(pipe.read.get(), POLLIN, Deadline::Never()), Waited::kReady);
}

TEST(WaitForTest, ACancellationCountsBeforeWhatIsReady) {
  const Pipe pipe = *MakePipe();
  const Pipe cancel = *MakePipe();
  ASSERT_TRUE(WriteAll(pipe.write.get(), "x").ok());
  ASSERT_TRUE(WriteAll(cancel.write.get(), "x").ok());
  EXPECT_EQ(WaitFor(pipe.read.get(), POLLIN, Deadline::Never(), cancel.read.get()),
            Waited::kCancelled);
}

TEST(WaitForTest, SignalsDoNotEndIt) {
  static volatile std::sig_atomic_t signals = 0;
  struct sigaction before {};
  struct sigaction counting {};
  counting.sa_handler = [](int) { signals = signals + 1; };
  ASSERT_EQ(::sigaction(SIGALRM, &counting, &before), 0);
  const itimerval often = {.it_interval = {0, 2000}, .it_value = {0, 2000}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
  const Pipe pipe = *MakePipe();
  Waited waited = Waited::kTimedOut;
  while (waited == Waited::kTimedOut && signals < 5) {
    waited = WaitFor(pipe.read.get(), POLLIN, Deadline::After(20ms));
  }
  EXPECT_EQ(waited, Waited::kTimedOut);
  const itimerval never = {};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
}

}  // namespace
}  // namespace pyro::sys
