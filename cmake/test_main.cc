// The main function of the C++ tests: GoogleTest's own, in a process as pyro's programs have it.

#include <csignal>

#include <gtest/gtest.h>

int main(int argc, char** argv) {
  // As src/sys/process_state.h says: a write to a reader that is gone is an error.
  std::signal(SIGPIPE, SIG_IGN);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
