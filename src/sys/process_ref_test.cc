#include "sys/process_ref.h"

#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "sys/child_process.h"

namespace pyro::sys {
namespace {

TEST(ProcessRefTest, NamesOneProcessOnly) {
  SpawnOptions options;
  options.argv = {"/bin/sleep", "1000"};
  auto child = ChildProcess::Spawn(std::move(options));
  ASSERT_TRUE(child.ok());
  auto ref = ProcessRef::Of(child->pid());
  ASSERT_TRUE(ref.ok());
  auto stored = ProcessRef::FromJson(ref->ToJson());
  ASSERT_TRUE(stored.ok());
  EXPECT_TRUE(stored->Open().ok());

  ProcessRef recycled = *stored;
  recycled.start_ticks += 1;
  EXPECT_EQ(recycled.Open().error().code, ErrorCode::kNotFound);
  ProcessRef rebooted = *stored;
  rebooted.boot_id = "another";
  EXPECT_EQ(rebooted.Open().error().code, ErrorCode::kNotFound);

  ASSERT_TRUE(child->Signal(SIGKILL).ok());
  ASSERT_TRUE(child->Wait(Deadline::After(std::chrono::seconds(30))).ok());
  EXPECT_EQ(stored->Open().error().code, ErrorCode::kNotFound);
}

TEST(ProcessRefTest, RefusesNonsense) {
  EXPECT_FALSE(ProcessRef::FromJson(Json{{"pid", -1}, {"start_ticks", 1}, {"boot_id", "x"}}).ok());
  EXPECT_FALSE(ProcessRef::FromJson(Json{{"pid", 1}}).ok());
  EXPECT_FALSE(ProcessRef::FromJson(Json("x")).ok());
}

}  // namespace
}  // namespace pyro::sys
