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

TEST(HostApt, AnotherReleaseIsAskedOfTheMirrorsOfTheOwn) {
  const auto targets = ParseIndexTargets(
      Row("https://tools.example/apt/", "trixie-tools", "trixie-tools", "main", "Vendor") +
      Row("https://vendor.example/debian/", "bookworm", "bookworm", "main", "Vendor") +
      Row("http://back.example/", "bookworm-backports", "bookworm-backports", "main", "Debian") +
      Row("http://mirror.example/debian/", "oldstable", "bookworm", "main", "Debian") +
      Row("http://mirror.example/debian/", "oldstable-updates", "bookworm-updates", "main",
          "Debian") +
      Row("http://security.example/", "bookworm-security", "bookworm-security", "main", "Debian"));
  const Borrowed borrowed = BorrowTargets(targets, "trixie");
  EXPECT_EQ(borrowed.own_release, "bookworm");
  ASSERT_EQ(borrowed.targets.size(), 3U);
  EXPECT_EQ(borrowed.targets[0].uri, "http://mirror.example/debian/");
  EXPECT_EQ(borrowed.targets[0].release, "trixie");
  EXPECT_EQ(borrowed.targets[1].release, "trixie-updates");
  EXPECT_EQ(borrowed.targets[2].uri, "http://security.example/");
  EXPECT_EQ(borrowed.targets[2].release, "trixie-security");
}

TEST(HostApt, AMirrorThatCallsItsReleaseOtherwiseThanTheSourcesLendsItToo) {
  const auto targets = ParseIndexTargets(
      Row("http://mirror.example/debian/", "oldstable", "bookworm", "main", "Debian") +
      Row("http://other.example/debian/", "bookworm", "x", "main", "Debian"));
  const Borrowed borrowed = BorrowTargets(targets, "trixie");
  ASSERT_EQ(borrowed.targets.size(), 2U);
  for (const auto& target : borrowed.targets) EXPECT_EQ(target.release, "trixie");
}

TEST(HostApt, BeforeTheFirstUpdateOnlyReleasesOfTheCatalogLendTheirMirror) {
  const std::string vendor =
      Row("https://vendor.example/", "nodistro", "$(CODENAME)", "main", "$(ORIGIN)");
  EXPECT_TRUE(BorrowTargets(ParseIndexTargets(vendor), "bookworm").targets.empty());
  const std::string debian =
      Row("http://mirror.example/debian/", "trixie", "$(CODENAME)", "main", "$(ORIGIN)");
  const Borrowed borrowed = BorrowTargets(ParseIndexTargets(vendor + debian), "bookworm");
  EXPECT_EQ(borrowed.own_release, "trixie");
  ASSERT_EQ(borrowed.targets.size(), 1U);
  EXPECT_EQ(borrowed.targets[0].uri, "http://mirror.example/debian/");
  EXPECT_EQ(borrowed.targets[0].release, "bookworm");
}

TEST(HostApt, KeyFilesOfTheImageAreThoseThatEveryReleaseHas) {
  const std::string debian = "/usr/share/keyrings/debian-archive-keyring";
  EXPECT_EQ(SignedByInImage(debian + ".pgp"), debian + ".gpg");
  EXPECT_EQ(SignedByInImage("/etc/apt/mine.gpg"), "");
  EXPECT_EQ(SignedByInImage("/etc/apt/mine.gpg, " + debian + ".gpg\n0123ABCD"),
            debian + ".gpg 0123ABCD");
  EXPECT_EQ(SignedByInImage("/usr/share/keyrings/debian-archive-../../x.gpg"), "");
  const std::string key = "\n -----BEGIN PGP\n .\n /usr/x\n -----END";
  EXPECT_EQ(SignedByInImage(key), key);
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

TEST(HostApt, SourcesThatAptHasNeverFetchedAreFound) {
  sys::TestDirectory directory;
  FakeTools tools(directory.path());
  tools.Add("apt-get",
            "case \"$*\" in *--no-release-info*) printf 'http://m.example/\\tbookworm\\t"
            "$(CODENAME)\\tmain\\t$(ORIGIN)\\t/x:1\\n';; esac");
  tools.Add("apt-config", "exit 0");
  const auto setup = ReadHostApt(tools.paths(), "bookworm", {});
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_EQ(setup->described, std::vector<std::string>{"deb http://m.example/ bookworm main"});
  EXPECT_EQ(setup->own_release, "");
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

TEST(HostApt, AnotherReleaseIsAcceptedByItsOwnKeysOnly) {
  sys::TestDirectory directory;
  FakeTools tools(directory.path());
  const auto sources = directory.path() / "host.sources";
  std::ofstream(sources) << "Types: deb\nSigned-By: /usr/share/keyrings/mine.gpg\nTrusted: yes\n";
  tools.Add("apt-get",
            "printf 'http://u:secret@m.example/\\tbookworm\\tbookworm\\tmain\\tDebian\\t" +
                sources.native() + ":1\\n'");
  tools.Add("apt-config", "exit 0");

  const auto without = ReadHostApt(tools.paths(), "trixie", {}, {}, directory.path());
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, ErrorCode::kMissingTool);
  EXPECT_NE(without.error().hint.find("apt install debian-archive-keyring"), std::string::npos);

  std::string keys;
  for (const char* part : {"automatic", "security-automatic", "stable"}) {
    const auto file = directory.path() / ("debian-archive-trixie-" + std::string(part) + ".gpg");
    std::ofstream(file) << "key";
    keys += " " + file.native();
  }
  const auto setup = ReadHostApt(tools.paths(), "trixie", {}, {}, directory.path());
  ASSERT_TRUE(setup) << setup.error().message;
  EXPECT_EQ(setup->own_release, "bookworm");
  EXPECT_EQ(setup->sources,
            "Types: deb\nURIs: http://u:secret@m.example/\nSuites: trixie\nComponents: main\n"
            "Signed-By:" +
                keys + "\n\n");
  EXPECT_EQ(setup->described, std::vector<std::string>{"deb http://m.example/ trixie main"});

  const auto own = ReadHostApt(tools.paths(), "bookworm", {}, {}, directory.path());
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_EQ(own->own_release, "");
  EXPECT_NE(own->sources.find("Signed-By: /usr/share/keyrings/mine.gpg\nTrusted: yes\n"),
            std::string::npos);
  EXPECT_EQ(own->image_sources.find("mine.gpg"), std::string::npos);
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
