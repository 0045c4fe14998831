#include "image/debian/host_apt.h"

#include <fstream>

#include <gtest/gtest.h>

#include "image/testing/fake_tools.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

std::string Row(std::string_view uri, std::string_view release, std::string_view codename,
                std::string_view component, std::string_view origin,
                std::string_view entry = "/x:1") {
  std::string row;
  for (const auto field : {uri, release, codename, component, origin, entry}) {
    if (!row.empty()) row += '\t';
    row += field;
  }
  return row + "\n";
}

TEST(HostApt, TakesOnlyDebiansOwnEntriesOfTheRelease) {
  const auto targets = ParseIndexTargets(
      Row("https://tools.example/apt/", "cloud-sdk-bookworm", "cloud-sdk-bookworm", "main",
          "cloud-sdk") +
      Row("https://vendor.example/debian/", "bookworm", "bookworm", "main", "Vendor") +
      Row("http://mirror.example/debian/", "bookworm-security", "bookworm-security", "main",
          "Debian") +
      Row("http://mirror.example/debian/", "bookworm", "bookworm", "main", "Debian") +
      Row("http://mirror.example/debian/", "bookworm", "bookworm", "non-free", "Debian") +
      Row("http://mirror.example/debian/", "bookworm-backports", "bookworm-backports", "main",
          "Debian Backports") +
      Row("http://mirror.example/debian/", "bookworm-updates", "bookworm-updates", "main",
          "Debian") +
      Row("http://mirror.example/debian/", "trixie", "trixie", "main", "Debian"));
  const auto selected = SelectTargets(targets, "bookworm");
  ASSERT_EQ(selected.size(), 3U);
  EXPECT_EQ(selected[0].release, "bookworm");
  EXPECT_EQ(selected[1].release, "bookworm-updates");
  EXPECT_EQ(selected[2].release, "bookworm-security");
  for (const auto& target : selected) EXPECT_EQ(target.uri, "http://mirror.example/debian/");
}

TEST(HostApt, FindsTheReleaseBehindASuiteName) {
  const auto targets = ParseIndexTargets(
      Row("http://mirror.example/debian/", "oldstable", "bookworm", "main", "Debian"));
  const auto selected = SelectTargets(targets, "bookworm");
  ASSERT_EQ(selected.size(), 1U);
  EXPECT_EQ(selected[0].release, "oldstable");
}

TEST(HostApt, BeforeTheFirstUpdateTheReleaseNameDecides) {
  const std::string debian =
      Row("http://mirror.example/debian/", "bookworm", "$(CODENAME)", "main", "$(ORIGIN)");
  const std::string vendor =
      Row("https://vendor.example/linux/debian/", "bookworm", "$(CODENAME)", "stable", "$(ORIGIN)");
  const auto selected = SelectTargets(ParseIndexTargets(vendor + debian), "bookworm");
  ASSERT_EQ(selected.size(), 1U);
  EXPECT_EQ(selected[0].uri, "http://mirror.example/debian/");
}

TEST(HostApt, AnUnknownOriginNeverJoinsAKnownOne) {
  const auto targets = ParseIndexTargets(
      Row("http://mirror.example/debian/", "bookworm", "bookworm", "main", "Debian") +
      Row("http://other.example/", "bookworm", "$(CODENAME)", "main", "$(ORIGIN)"));
  EXPECT_EQ(SelectTargets(targets, "bookworm").size(), 1U);
}

TEST(HostApt, UpdatesWithoutTheReleaseAreNothing) {
  const auto targets = ParseIndexTargets(Row("http://mirror.example/debian/", "bookworm-updates",
                                             "bookworm-updates", "main", "Debian"));
  EXPECT_TRUE(SelectTargets(targets, "bookworm").empty());
}

TEST(HostApt, ReadsTrustOptionsOfBothFormats) {
  const std::string deb822 =
      "# comment\nTypes: deb\nURIs: http://a\nSigned-By: /a.gpg\n\n# only a comment\n\nTypes: deb\n"
      "signed-by:\n -----BEGIN\n .\n -----END\nTrusted: yes\n";
  const auto first = SourceOptions(deb822, true, 1);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].second, "/a.gpg");
  const auto second = SourceOptions(deb822, true, 2);
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(second[0].first, "Signed-By");
  EXPECT_EQ(second[0].second, "\n -----BEGIN\n .\n -----END");
  EXPECT_EQ(second[1].second, "yes");
  const auto line =
      SourceOptions("\ndeb [arch=amd64 signed-by=/b.gpg] http://a bookworm main\n", false, 2);
  ASSERT_EQ(line.size(), 1U);
  EXPECT_EQ(line[0].second, "/b.gpg");
  EXPECT_TRUE(SourceOptions(deb822, true, 9).empty());
}

TEST(HostApt, KeepsProxyOptionsAndDropsTheRest) {
  const std::string selected = SelectAptOptions(
      "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p:1/\";\n"
      "APT::Install-Recommends \"1\";\nAcquire::AllowInsecureRepositories \"1\";\n"
      "Acquire::Languages \"\";\nAcquire::Languages:: \"none\";\nDPkg::Post-Invoke:: \"rm -rf "
      "/\";\n");
  EXPECT_EQ(selected, "Acquire::http::Proxy \"http://p:1/\";\nAcquire::Languages:: \"none\";\n");
}

TEST(HostApt, StripsCredentialsFromEveryUri) {
  EXPECT_EQ(StripCredentials(
                "deb http://u:p@h/d a\ndeb https://h/x@y b\nURIs: ftp://u@h https://t:p%40@h2"),
            "deb http://h/d a\ndeb https://h/x@y b\nURIs: ftp://h https://h2");
}

TEST(HostApt, NoSourceIsATypedErrorWithAHint) {
  sys::TestDirectory directory;
  FakeTools tools(directory.path());
  tools.Add("apt-get", "exit 0");
  tools.Add("apt-config", "exit 0");
  const auto setup = ReadHostApt(tools.paths(), "bookworm", {});
  ASSERT_FALSE(setup);
  EXPECT_EQ(setup.error().code, ErrorCode::kNotFound);
  EXPECT_NE(setup.error().hint.find("PYRO_APT_SOURCES"), std::string::npos);
}

TEST(HostApt, NoAptIsAMissingTool) {
  sys::TestDirectory directory;
  const FakeTools tools(directory.path());
  const auto setup = ReadHostApt(tools.paths(), "bookworm", {});
  ASSERT_FALSE(setup);
  EXPECT_EQ(setup.error().code, ErrorCode::kMissingTool);
  EXPECT_EQ(setup.error().hint, "install it: sudo apt install apt");
}

TEST(HostApt, CredentialsReachMmdebstrapButNotTheImage) {
  sys::TestDirectory directory;
  FakeTools tools(directory.path());
  tools.Add("apt-get",
            "printf "
            "'http://user:secret@mirror.example/debian/\\tbookworm\\tbookworm\\tmain\\tDebian\\t/"
            "x:1\\n'");
  tools.Add("apt-config", "echo 'Acquire::Retries \"3\";'");
  const auto setup = ReadHostApt(tools.paths(), "bookworm", {});
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_NE(setup->sources.find("user:secret@"), std::string::npos);
  EXPECT_EQ(setup->image_sources.find("secret"), std::string::npos);
  ASSERT_EQ(setup->described.size(), 1U);
  EXPECT_EQ(setup->described[0], "deb http://mirror.example/debian/ bookworm main");
  EXPECT_EQ(setup->apt_options, "Acquire::Retries \"3\";\n");
}

TEST(HostApt, TheOverrideIsTakenAsItIs) {
  sys::TestDirectory directory;
  FakeTools tools(directory.path());
  tools.Add("apt-config", "exit 0");
  const auto file = directory.path() / "my.list";
  std::ofstream(file) << "# mine\ndeb [trusted=yes] http://u:p@m.example/debian bookworm main\n";
  const auto setup = ReadHostApt(tools.paths(), "bookworm", file);
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_EQ(setup->extension, ".list");
  EXPECT_EQ(setup->described,
            std::vector<std::string>{"deb [trusted=yes] http://m.example/debian bookworm main"});
  const auto missing = ReadHostApt(tools.paths(), "bookworm", directory.path() / "none.list");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pyro::image
