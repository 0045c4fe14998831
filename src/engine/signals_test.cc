#include "engine/signals.h"

#include <gtest/gtest.h>

namespace pyro::engine {
namespace {

TEST(SignalsTest, NamesAndNumbersInEachForm) {
  for (const char* text : {"TERM", "SIGTERM", "sigterm", "15"}) EXPECT_EQ(*ParseSignal(text), 15);
  EXPECT_EQ(*ParseSignal("64"), 64);
  EXPECT_EQ(*ParseSignal("SIGRTMIN"), 34);
  EXPECT_EQ(*ParseSignal("RTMIN+3"), 37);  // Of systemd's images.
  EXPECT_EQ(*ParseSignal("SIGRTMAX"), 64);
  EXPECT_EQ(*ParseSignal("RTMAX-1"), 63);
  EXPECT_EQ(NameOfSignal(15), "SIGTERM");
  EXPECT_EQ(NameOfSignal(37), "37");
}

TEST(SignalsTest, OthersAreRefused) {
  for (const char* text : {"", "0", "65", "SIG", "SIG15", "NONE", "RTMIN-1", "RTMIN+31", "RTMAX+1",
                           "RTMIN+", "RTMIN3", "-15"}) {
    const auto signal = ParseSignal(text);
    ASSERT_FALSE(signal) << text;
    EXPECT_EQ(signal.error().code, ErrorCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace pyro::engine
