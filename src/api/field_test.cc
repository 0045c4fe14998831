#include "api/field.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/json.h"
#include "api/rows.h"

namespace pyro::api {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> NamesOf(const Struct& rows) {
  std::vector<std::string> names;
  for (const Member& member : MembersOf(rows)) names.emplace_back(member.field.name);
  return names;
}

template <typename T>
std::string Refused(const Json& document) {
  T object;
  const Status read = FromJson(document, object);
  return read ? "" : read.error().message;
}

TEST(FieldTest, AStructTakesTheFieldsOfItsBaseExceptThoseItHasItself) {
  EXPECT_EQ(NamesOf(Rows<RunRequest>()),
            (std::vector<std::string>{"environment", "vcpu_count", "mem_mib", "network", "allow",
                                      "deny", "network_policy", "secrets", "cache", "machine",
                                      "command", "env", "cwd", "user", "timeout_seconds",
                                      "ttl_seconds", "allow_host_compat"}));
  EXPECT_EQ(NamesOf(Rows<KeepSparesRequest>()),
            (std::vector<std::string>{"environment", "count", "vcpu_count", "mem_mib", "network",
                                      "machine", "ttl_seconds"}));
}

TEST(FieldTest, ADefaultIsThatOfTheStructNotOfItsBase) {
  EXPECT_EQ(ToJson(VmOptions())["ttl_seconds"], 600);
  EXPECT_EQ(ToJson(KeepSparesRequest())["ttl_seconds"], 3600);
}

TEST(FieldTest, ANameInADocumentHoldsNoCharacterThatActsOrHides) {
  EXPECT_EQ(Refused<TaskOptions>({{"environment", "debian:12"}, {"name", "a\u202Eb"}}),
            "name holds the character U+202E");
  EXPECT_EQ(Refused<TaskOptions>({{"environment", "debian:12"}, {"name", "a\tb"}}),
            "name holds the character U+0009");
  // Other texts may hold any.
  EXPECT_EQ(Refused<TaskOptions>({{"environment", "debian:12"}, {"source_path", "a\tb"}}), "");
}

TEST(FieldTest, ANumberOutsideItsRangeIsNamedWithTheRange) {
  TaskOptions options;
  EXPECT_TRUE(CheckRanges(options).ok());
  options.vcpu_count = 65;
  EXPECT_EQ(CheckRanges(options).error().message, "vcpu_count is 65");
  EXPECT_EQ(CheckRanges(options).error().hint, "vcpu_count takes 1 to 64");
  options.vcpu_count = 64;
  options.disk_mib = 255;
  EXPECT_EQ(CheckRanges(options).error().hint, "disk_mib takes 256 to 1048576");
  options.disk_mib = 256;
  options.name.assign(65, 'x');
  EXPECT_EQ(CheckRanges(options).error().message, "name has 65 bytes");
  EXPECT_EQ(CheckRanges(options).error().hint, "name takes at most 64");
  TaskCommandRequest command;
  EXPECT_EQ(CheckRanges(command).error().hint, "sequence takes 1 and more");
}

TEST(FieldTest, ARequestIsReadFromItsDocument) {
  RunRequest run;
  const Status read = FromJson({{"environment", "debian:12"},
                                {"command", {"a", "b"}},
                                {"mem_mib", 512.0},
                                {"network", true}},
                               run);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(run.environment, "debian:12");
  EXPECT_EQ(run.command.argv, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(run.command.script);
  EXPECT_EQ(run.mem_mib, 512);
  EXPECT_TRUE(run.network);
  EXPECT_EQ(run.timeout_seconds, kDefaultTimeoutSeconds);
  EXPECT_EQ(ToJson(run)["command"], (Json{"a", "b"}));

  ReadTaskOutputRequest page;
  ASSERT_TRUE(FromJson({{"task_id", "task_x"},
                        {"sequence", 3},
                        {"stream", "stderr"},
                        {"offset", 7},
                        {"wait_seconds", 0.25}},
                       page)
                  .ok());
  EXPECT_EQ(page.stream, OutputStream::kStderr);
  EXPECT_EQ(page.offset, 7U);
  EXPECT_EQ(page.wait, 250ms);
  EXPECT_EQ(ToJson(page)["stream"], "stderr");
  EXPECT_EQ(ToJson(page)["wait_seconds"], 0.25);
}

TEST(FieldTest, AWrongDocumentIsRefusedByTheNameOfItsField) {
  EXPECT_EQ(Refused<TaskRequest>({}), "TaskRequest is not an object");
  EXPECT_EQ(Refused<TaskRequest>(Json::object()), "task_id is missing");
  EXPECT_EQ(Refused<TaskRequest>({{"task_id", 1}}), "task_id is not a text");
  EXPECT_EQ(Refused<TaskRequest>({{"task_id", "x"}, {"tsak", 1}}), "there is no field 'tsak'");
  EXPECT_EQ(Refused<VmOptions>({{"environment", "x"}, {"vcpu_count", 0}}), "vcpu_count is 0");
  EXPECT_EQ(Refused<VmOptions>({{"environment", "x"}, {"vcpu_count", 1.5}}),
            "vcpu_count is not a whole number");
  EXPECT_EQ(Refused<VmOptions>({{"environment", "x"}, {"network", "yes"}}),
            "network is not true or false");
  EXPECT_EQ(Refused<TaskOptions>({{"environment", "x"}, {"exclude", {1}}}),
            "exclude is not a list of texts");
  EXPECT_EQ(Refused<KeepSparesRequest>({{"environment", "x"}, {"allow_host_compat", true}}),
            "there is no field 'allow_host_compat'");
  const Json page = {{"task_id", "x"}, {"sequence", 1}};
  Json wrong = page;
  wrong["stream"] = "stdin";
  EXPECT_EQ(Refused<ReadTaskOutputRequest>(wrong), "stream is not one of stdout, stderr");
  wrong = page;
  wrong["wait_seconds"] = -1;
  EXPECT_EQ(Refused<ReadTaskOutputRequest>(wrong), "wait_seconds is not a number of seconds");
  wrong = page;
  wrong["offset"] = -1;
  EXPECT_EQ(Refused<ReadTaskOutputRequest>(wrong), "offset is not 0 or more");
  TaskRequest ignored;
  EXPECT_TRUE(FromJson({{"task_id", "x"}, {"more", 1}}, ignored, Unknown::kIgnored).ok());
}

}  // namespace
}  // namespace pyro::api
