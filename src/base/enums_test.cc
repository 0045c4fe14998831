#include "pyro/enums.h"

#include <array>

#include <gtest/gtest.h>

namespace pyro {
namespace {

template <typename Enum, std::size_t n>
void ExpectNames(const std::array<std::string_view, n>& names) {
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_EQ(Name(static_cast<Enum>(i)), names[i]);
    EXPECT_EQ(FromName<Enum>(names[i]), static_cast<Enum>(i)) << names[i];
  }
  EXPECT_EQ(FromName<Enum>(""), std::nullopt);
  EXPECT_EQ(FromName<Enum>("Exited"), std::nullopt);
}

// They are part of the JSON, of Python's values and of what is stored.
TEST(EnumsTest, NamesStayAsTheyAreAndLeadBack) {
  ExpectNames<Outcome, 6>(
      {"exited", "signalled", "timed_out", "cancelled", "not_started", "interrupted"});
  ExpectNames<CommandState, 2>({"running", "ended"});
  ExpectNames<GuestState, 4>({"created", "started", "stopped", "deleted"});
  ExpectNames<ExecutionMode, 4>({"pending", "guest_virtio_serial", "guest_vsock", "host_compat"});
  ExpectNames<OutputStream, 2>({"stdout", "stderr"});
}

}  // namespace
}  // namespace pyro
