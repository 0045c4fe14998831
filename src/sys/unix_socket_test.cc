#include "sys/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

TEST(UnixSocketTest, WorksBelowPathsLongerThanASocketAddress) {
  const TestDirectory directory;
  const auto deep = directory.path() / std::string(100, 'a') / std::string(100, 'b');
  ASSERT_TRUE(MakeDirectories(deep).ok());
  auto listener = ListenUnix(deep / "control.sock");
  ASSERT_TRUE(listener.ok()) << listener.error().message;
  auto client = ConnectUnix(deep / "control.sock");
  ASSERT_TRUE(client.ok()) << client.error().message;
  const UniqueFd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(server.valid());
  EXPECT_TRUE(PeerIsSameUser(server.get()));
  struct stat info {};
  ASSERT_EQ(::stat((deep / "control.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(UnixSocketTest, TellsAMissingPathFromOneWithoutAListener) {
  const TestDirectory directory;
  EXPECT_EQ(ConnectUnix(directory.path() / "none").error().code, ErrorCode::kNotFound);
  { auto listener = ListenUnix(directory.path() / "s"); }
  EXPECT_EQ(ConnectUnix(directory.path() / "s").error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(ListenUnix(directory.path() / "s").ok());
}

}  // namespace
}  // namespace pyro::sys
