#include "state/instance/instance_state.h"

#include <map>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

namespace pyro::state {
namespace {

using enum GuestState;
using enum InstanceEvent;

// Every state with every event, as docs/REGISTRY.md has it. Nothing: refused.
const std::map<std::pair<InstanceState, InstanceEvent>, std::optional<InstanceState>> kExpected = {
    {{kCreated, kStart}, kStarted},     {{kCreated, kStop}, std::nullopt},
    {{kCreated, kLost}, std::nullopt},  {{kCreated, kRenew}, kCreated},
    {{kCreated, kExec}, std::nullopt},  {{kCreated, kDelete}, kDeleted},
    {{kStarted, kStart}, std::nullopt}, {{kStarted, kStop}, kStopped},
    {{kStarted, kLost}, kStopped},      {{kStarted, kRenew}, kStarted},
    {{kStarted, kExec}, kStarted},      {{kStarted, kDelete}, std::nullopt},
    {{kStopped, kStart}, kStarted},     {{kStopped, kStop}, kStopped},
    {{kStopped, kLost}, kStopped},      {{kStopped, kRenew}, std::nullopt},
    {{kStopped, kExec}, std::nullopt},  {{kStopped, kDelete}, kDeleted},
    {{kDeleted, kStart}, std::nullopt}, {{kDeleted, kStop}, std::nullopt},
    {{kDeleted, kLost}, std::nullopt},  {{kDeleted, kRenew}, std::nullopt},
    {{kDeleted, kExec}, std::nullopt},  {{kDeleted, kDelete}, kDeleted},
};

TEST(InstanceStateTest, EveryEventInEveryStateIsDecided) {
  ASSERT_EQ(kExpected.size(), kAllInstanceStates.size() * kAllInstanceEvents.size());
  for (const InstanceState state : kAllInstanceStates) {
    for (const InstanceEvent event : kAllInstanceEvents) {
      SCOPED_TRACE(testing::Message() << Name(state) << ", event " << static_cast<int>(event));
      const auto& expected = kExpected.at({state, event});
      const auto next = Next(state, event);
      ASSERT_EQ(next.ok(), expected.has_value());
      if (expected) {
        EXPECT_EQ(*next, *expected);
        continue;
      }
      EXPECT_EQ(next.error().code, ErrorCode::kWrongState);
      EXPECT_FALSE(next.error().message.empty());
      EXPECT_FALSE(next.error().hint.empty());
    }
  }
}

}  // namespace
}  // namespace pyro::state
