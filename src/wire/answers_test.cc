#include "wire/answers.h"

#include <string>

#include <gtest/gtest.h>

namespace pyro::wire {
namespace {

Processes Told() {
  Processes told;
  told.processes.resize(kMaxProcesses, {.pid = 1, .state = "S"});
  return told;
}

bool Refused(const Processes& told) {
  const auto read = ReadAnswer<Processes>(AnswerFrame(1, told));
  return !read && read.error().code == ErrorCode::kProtocol;
}

TEST(WireAnswersTest, AnAnswerKeepsEveryByteOfEveryWord) {
  Processes told = Told();
  told.processes[0].command = std::string(kMaxProcessCommand, '\xff');
  told.processes[1].command = std::string("a\0\0b\0", 5);
  told.truncated = true;
  const Frame frame = AnswerFrame(3, told);
  EXPECT_EQ(frame.type, FrameType::kAnswer);
  EXPECT_EQ(frame.channel, 3u);
  const auto back = ReadAnswer<Processes>(frame);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->processes.size(), kMaxProcesses);
  EXPECT_EQ(back->processes[0].command, told.processes[0].command);
  EXPECT_EQ(back->processes[1].command, told.processes[1].command);
  EXPECT_TRUE(back->truncated);
}

TEST(WireAnswersTest, AGuestTellsNoMoreProcessesAndNoLongerWordsThanAreAllowed) {
  Processes told = Told();
  told.processes.push_back(told.processes[0]);
  EXPECT_TRUE(Refused(told));
  told = Told();
  told.processes[7].command = std::string(kMaxProcessCommand + 1, 'x');
  EXPECT_TRUE(Refused(told));
  told = Told();
  told.processes[7].pid = 0;
  EXPECT_TRUE(Refused(told));
  told = Told();
  told.processes[7].cpu_ms = -1;
  EXPECT_TRUE(Refused(told));
  EXPECT_FALSE(Refused(Told()));
}

}  // namespace
}  // namespace pyro::wire
