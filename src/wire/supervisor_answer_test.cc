#include "wire/supervisor_config.h"

#include <gtest/gtest.h>

namespace pyro::wire {
namespace {

TEST(SupervisorAnswer, SaysThatItListensOrWhyNot) {
  EXPECT_TRUE(ParseAnswer(FormatAnswer()));
  const Status failed =
      ParseAnswer(FormatAnswer(MakeError(ErrorCode::kNoSpace, "no room", "delete something")));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(failed.error().message, "no room");
  EXPECT_EQ(failed.error().hint, "delete something");
}

TEST(SupervisorAnswer, AnythingElseIsAnInternalError) {
  for (const char* line :
       {"", "{", "[]", "1", "{}", R"({"listening": 1})", R"({"listening": false})",
        R"({"error": 1})", R"({"error": {"code": -1}})",
        R"({"error": {"code": 1, "message": 2, "hint": ""}})"}) {
    const Status status = ParseAnswer(line);
    ASSERT_FALSE(status) << line;
    EXPECT_EQ(status.error().code, ErrorCode::kInternal) << line;
  }
}

}  // namespace
}  // namespace pyro::wire
