// For tests of state/: a clock that stands still, and what to put in.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/time.h"
#include "state/instance/instance_record.h"
#include "state/journal/command_record.h"

namespace pyro::state {

class TestClock : public Clock {
 public:
  WallTime Now() const override { return now_; }
  void Advance(std::chrono::milliseconds step) { now_ += step; }

 private:
  WallTime now_{std::chrono::milliseconds(1'700'000'000'000)};
};

inline InstanceId TestId(std::uint8_t first, std::uint8_t last = 0) {
  return InstanceId::FromBits(InstanceKind::kVm,
                              {first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last});
}

inline InstanceId TestTaskId(std::uint8_t first, std::uint8_t last = 0) {
  return InstanceId::FromBits(InstanceKind::kTask,
                              {first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last});
}

inline CommandBegin TestCommand(std::string word) {
  return {CommandSpec{.argv = {std::move(word)}, .cwd = "/workspace", .timeout_ms = 30'000},
          ExecutionMode::kGuestVirtioSerial,
          {}};
}

inline InstanceSpec TestSpec(InstanceId id) {
  return InstanceSpec{
      .id = std::move(id), .environment = "debian:12", .environment_digest = "sha256:aaaa"};
}

// `text` with the first `from` in it replaced.
inline std::string TextWith(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

inline void ExpectSame(const InstanceRecord& a, const InstanceRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(FieldsToJson(kInstanceFields, &a), FieldsToJson(kInstanceFields, &b));
}

}  // namespace pyro::state
