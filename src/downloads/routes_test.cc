#include "downloads/routes.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/host.h"

namespace pyro::downloads {
namespace {

constexpr std::string_view kText =
    "# comment\n"
    "@npm npm https://npm.example/   # another\n"
    "@npm npm https://npm.example/deep/ http://10.0.0.7:4873/npm/\n"
    "\n"
    "@debian apt http://debian.example/\n";

TEST(DownloadRoutesTest, TheLongestUrlCounts) {
  const Routes routes = *Routes::Parse(kText);
  const auto found = routes.Find(*ParseUrl("https://npm.example/a/-/a-1.tgz"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->source.Text(), "https://npm.example/a/-/a-1.tgz");
  EXPECT_EQ(found->lifetime, Lifetime::kFixed);
  EXPECT_FALSE(found->route->from_settings);

  const auto deep = routes.Find(*ParseUrl("https://npm.example/deep/a"));
  ASSERT_TRUE(deep);
  EXPECT_EQ(deep->source.Text(), "http://10.0.0.7:4873/npm/a");
  EXPECT_EQ(deep->lifetime, Lifetime::kIndex);
  EXPECT_TRUE(deep->route->from_settings);
}

TEST(DownloadRoutesTest, AnotherSchemePortOrHostIsNone) {
  const Routes routes = *Routes::Parse(kText);
  for (const char* url : {"http://npm.example/a", "https://npm.example:8443/a",
                          "https://other.example/a", "https://debian.example/dists/x"}) {
    EXPECT_FALSE(routes.Find(*ParseUrl(url))) << url;
  }
}

TEST(DownloadRoutesTest, AQueryIsNoDownload) {
  const Routes routes = *Routes::Parse(kText);
  const auto found = routes.Find(*ParseUrl("https://npm.example/a?secret=1"));
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->lifetime);
}

TEST(DownloadRoutesTest, EmptyPartsOfAPathAreNoDownload) {
  const Routes routes = *Routes::Parse(kText);
  for (const char* url :
       {"http://debian.example//dists/s/Release", "http://debian.example/dists//s/Release",
        "http://debian.example/x///pool/a.deb"}) {
    const auto found = routes.Find(*ParseUrl(url));
    ASSERT_TRUE(found) << url;
    EXPECT_FALSE(found->lifetime) << url;
  }
}

TEST(DownloadRoutesTest, ASlashThatIsEscapedLeadsOutOfNoFolder) {
  EXPECT_FALSE(ParseUrl("https://npm.example/a%2F..%2F..%2Fadmin").ok());
  EXPECT_FALSE(ParseUrl("http://debian.example/pool/..;/a.deb").ok());
  const Routes routes = *Routes::Parse(kText);
  const auto found = routes.Find(*ParseUrl("https://npm.example/@scope%2Fa..b"));
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->lifetime);
}

TEST(DownloadRoutesTest, ALineNamesItself) {
  for (const char* bad :
       {"npm npm https://a/", "@ npm https://a/", "@npm gems https://a/", "@npm npm https://a/b",
        "@npm npm https://a/?q", "@npm npm", "@npm npm https://a/ https://b/ more",
        "@npm npm https://user@a/", "@npm npm https://a/ ftp://b/"}) {
    const auto routes = Routes::Parse(std::string("\n") + bad);
    ASSERT_FALSE(routes.ok()) << bad;
    EXPECT_EQ(routes.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(routes.error().message.find("line 2"), std::string::npos) << bad;
  }
  EXPECT_FALSE(Routes::Parse(std::string(kMaxRoutesBytes + 1, '#')).ok());
}

TEST(DownloadRoutesTest, IsReadBackAsItWasWritten) {
  const Routes routes = *Routes::Parse(kText);
  EXPECT_EQ(Routes::Parse(routes.Format())->all(), routes.all());
  EXPECT_EQ(routes.Servers(), (std::vector<std::pair<std::string, std::uint16_t>>{
                                  {"debian.example", 80}, {"npm.example", 443}}));
}

TEST(DownloadRoutesTest, TheFileThatIsInstalledIsRight) {
  const auto file = sys::ProgramDirectory()->parent_path() / "bin" / "download-hosts";
  const auto routes = Routes::Parse(*sys::ReadFile(file, kMaxRoutesBytes));
  ASSERT_TRUE(routes.ok()) << routes.error().message;
  for (const char* preset : {"@debian", "@pypi", "@npm", "@crates"}) {
    EXPECT_TRUE(std::ranges::any_of(routes->all(), [&](const Route& route) {
      return route.preset == preset;
    })) << preset;
  }
}

}  // namespace
}  // namespace pyro::downloads
