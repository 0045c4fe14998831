#include "sys/host.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

class TrustTest : public ::testing::Test {
 protected:
  void SetUp() override { ::setenv("SSL_CERT_FILE", file().c_str(), 1); }
  void TearDown() override { ::unsetenv("SSL_CERT_FILE"); }

  std::filesystem::path file() const { return directory_.path() / "own.pem"; }

  TestDirectory directory_;
};

TEST_F(TrustTest, TheFileOfTheVariableIsAddedToTheHostsOwnList) {
  std::ofstream(file()) << "an own authority\n";
  const auto trusted = TrustedCertificates();
  ASSERT_TRUE(trusted) << trusted.error().message;
  EXPECT_TRUE(trusted->ends_with("\nan own authority\n"));
}

TEST_F(TrustTest, AFileThatIsMissingOrTooLargeIsAnError) {
  EXPECT_EQ(TrustedCertificates().error().code, ErrorCode::kNotFound);
  std::ofstream(file()) << std::string(kMaxTrustBytes / 2 + 1, 'x');
  EXPECT_EQ(TrustedCertificates().error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace pyro::sys
