#include "downloads/mirrors.h"

#include <gtest/gtest.h>

namespace pyro::downloads {
namespace {

constexpr std::string_view kUsual =
    "@debian apt http://debian.example/\n"
    "@pypi pypi https://pypi.example/\n"
    "@pypi pypifiles https://files.example/\n"
    "@npm npm https://npm.example/\n"
    "@crates index https://index.example/\n"
    "@crates crates https://crates.example/crates/\n";

std::string SourceOf(const Routes& routes, std::string_view url) {
  const auto found = routes.Find(*ParseUrl(url));
  if (!found) return "none";
  return found->lifetime ? found->source.Text() : "no form";
}

Routes With(const Mirrors& mirrors, std::vector<std::string>* left_out = nullptr) {
  Routes routes = *Routes::Parse(kUsual);
  auto said = AddMirrors(mirrors, routes);
  EXPECT_TRUE(said.ok());
  if (left_out != nullptr) {
    *left_out = *said;
  } else {
    EXPECT_TRUE(said->empty()) << said->at(0);
  }
  return routes;
}

TEST(DownloadMirrorsTest, Pip) {
  EXPECT_EQ(PipIndexIn("# x\n[global]\ntimeout = 60\nindex-url = https://m.example/simple\n"),
            "https://m.example/simple");
  EXPECT_EQ(PipIndexIn("[install]\nindex_url: https://a.example/\n[global]\nindex-url=b"),
            "https://a.example/");
  EXPECT_EQ(PipIndexIn("[search]\nindex-url = a\n[global]\n  index-url = b\n"), "");
  EXPECT_EQ(PipIndexIn("index-url = a"), "");

  const Routes routes = With({.pip_index = "http://m.example:8081/repository/py/simple"});
  EXPECT_EQ(SourceOf(routes, "https://pypi.example/simple/six/"),
            "http://m.example:8081/repository/py/simple/six/");
  EXPECT_EQ(SourceOf(routes, "https://pypi.example/packages/six-1.whl"),
            "http://m.example:8081/repository/py/packages/six-1.whl");
  EXPECT_EQ(SourceOf(routes, "http://m.example:8081/repository/py/packages/six-1.whl"),
            "http://m.example:8081/repository/py/packages/six-1.whl");
  EXPECT_EQ(SourceOf(routes, "https://files.example/a/six-1.whl"),
            "https://files.example/a/six-1.whl");
}

TEST(DownloadMirrorsTest, Npm) {
  EXPECT_EQ(NpmRegistryIn("; x\nregistry = \"https://m.example/npm\"\n//m.example/:_authToken=x"),
            "https://m.example/npm");
  EXPECT_EQ(NpmRegistryIn("@scope:registry=https://m.example/\n"), "");
  EXPECT_EQ(NpmRegistryIn("registry=https://${HOST}/\n"), "");
  const Routes routes = With({.npm_registry = "https://m.example/npm"});
  EXPECT_EQ(SourceOf(routes, "https://npm.example/a"), "https://m.example/npm/a");
  EXPECT_EQ(SourceOf(routes, "https://m.example/npm/a/-/a-1.tgz"),
            "https://m.example/npm/a/-/a-1.tgz");
}

TEST(DownloadMirrorsTest, Cargo) {
  EXPECT_EQ(CargoIndexIn("[source.crates-io]\nreplace-with = 'm'\n"
                         "[source.m]\nregistry = \"sparse+https://m.example/index/\"\n"),
            "https://m.example/index/");
  EXPECT_EQ(CargoIndexIn(
                "[source.crates-io]\nreplace-with = 'a' # x\n[source.\"a\"]\nreplace-with = 'b'\n"
                "[net]\nregistry = 'no'\n[ source.b ]\nregistry = 'sparse+https://m.example/'"),
            "https://m.example/");
  EXPECT_EQ(CargoIndexIn("[source.m]\nregistry = 'sparse+https://m.example/'"), "");
  EXPECT_EQ(
      CargoIndexIn("[source.crates-io]\nreplace-with='m'\n[source.m]\nregistry='https://m/x.git'"),
      "");
  EXPECT_EQ(CargoIndexIn("[source.crates-io]\nreplace-with = 'crates-io'\n"), "");
  EXPECT_EQ(CargoIndexIn("[source.crates-io]\nreplace-with = 7\nsource = 1"), "");
  EXPECT_EQ(CargoIndexIn("[[["), "");

  const Routes routes = With({.cargo_index = "https://m.example/index/"});
  EXPECT_EQ(SourceOf(routes, "https://index.example/se/rd/serde"),
            "https://m.example/index/se/rd/serde");
  EXPECT_EQ(SourceOf(routes, "https://m.example/api/serde/1.0.0/download"),
            "https://m.example/api/serde/1.0.0/download");
  EXPECT_EQ(SourceOf(routes, "https://crates.example/crates/serde/serde-1.0.0.crate"),
            "https://crates.example/crates/serde/serde-1.0.0.crate");
}

TEST(DownloadMirrorsTest, Apt) {
  const Routes routes = With({.apt_sources = {"deb http://m.example/deb/ bookworm main",
                                              "deb http://m.example/sec/ bookworm-security main"}});
  EXPECT_EQ(SourceOf(routes, "http://debian.example/debian/dists/s/InRelease"),
            "http://m.example/deb/dists/s/InRelease");
  EXPECT_EQ(SourceOf(routes, "http://debian.example/debian-security/dists/s/InRelease"),
            "http://m.example/sec/dists/s/InRelease");
  EXPECT_EQ(SourceOf(routes, "http://m.example/sec/pool/a/a_1_all.deb"),
            "http://m.example/sec/pool/a/a_1_all.deb");
}

TEST(DownloadMirrorsTest, TheUsualHostAsAMirrorStaysAsItIs) {
  const Routes routes = With({.apt_sources = {"deb http://debian.example/debian bookworm main"}});
  EXPECT_EQ(SourceOf(routes, "http://debian.example/debian/dists/s/InRelease"),
            "http://debian.example/debian/dists/s/InRelease");
  EXPECT_EQ(SourceOf(routes, "http://debian.example/debian-security/dists/s/InRelease"),
            "http://debian.example/debian-security/dists/s/InRelease");
}

TEST(DownloadMirrorsTest, AMirrorWithAPasswordIsLeftOutAndNotShown) {
  std::vector<std::string> left_out;
  const Routes routes = With({.pip_index = "https://user:hidden@m.example/simple/",
                              .npm_registry = "ftp://m.example/",
                              .cargo_index = "https://m.example/?x",
                              .apt_sources = {"copy:/srv", "deb cdrom:x bookworm main"}},
                             &left_out);
  EXPECT_EQ(left_out.size(), 5U);
  for (const std::string& line : left_out) EXPECT_EQ(line.find("hidden"), std::string::npos);
  EXPECT_EQ(routes.all(), Routes::Parse(kUsual)->all());
}

}  // namespace
}  // namespace pyro::downloads
