#include "downloads/forms.h"

#include <string>

#include <gtest/gtest.h>

namespace pyro::downloads {
namespace {

constexpr const char* kDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string FormOf(Kind kind, std::string_view path) {
  const auto lifetime = LifetimeOf(kind, path);
  if (!lifetime) return "none";
  return *lifetime == Lifetime::kFixed ? "fixed" : "index";
}

TEST(DownloadFormsTest, EveryKindHasOneName) {
  for (const Kind kind :
       {Kind::kApt, Kind::kPypi, Kind::kPypiFiles, Kind::kNpm, Kind::kIndex, Kind::kCrates}) {
    EXPECT_EQ(ParseKind(Name(kind)), kind);
  }
  EXPECT_EQ(ParseKind("gems"), std::nullopt);
}

TEST(DownloadFormsTest, Apt) {
  EXPECT_EQ(FormOf(Kind::kApt, "debian/pool/main/m/make/make_4.3-4.1_amd64.deb"), "fixed");
  EXPECT_EQ(FormOf(Kind::kApt, "pool/updates/main/x/x_1.dsc"), "fixed");
  EXPECT_EQ(FormOf(Kind::kApt, "debian/dists/stable/InRelease"), "index");
  EXPECT_EQ(FormOf(Kind::kApt, "debian/dists/stable/main/binary-amd64/Packages.xz"), "index");
  EXPECT_EQ(FormOf(Kind::kApt,
                   "debian/dists/stable/main/binary-amd64/by-hash/SHA256/" + std::string(kDigest)),
            "fixed");
  EXPECT_EQ(FormOf(Kind::kApt, "debian/pool/main/m/make/"), "none");
  EXPECT_EQ(FormOf(Kind::kApt, "debian/pool/main/m/make/upload"), "none");
  EXPECT_EQ(FormOf(Kind::kApt, "debian/mypool/x.deb"), "none");
  EXPECT_EQ(FormOf(Kind::kApt, "by-hash/SHA256/" + std::string(kDigest)), "none");
  EXPECT_EQ(FormOf(Kind::kApt, ""), "none");
}

TEST(DownloadFormsTest, ByHashPromisesItsDigest) {
  const std::string path = "d/dists/s/main/by-hash/SHA256/";
  EXPECT_EQ(PromisedSha256(Kind::kApt, path + kDigest), kDigest);
  EXPECT_EQ(PromisedSha256(Kind::kApt, path + "E3"), "");
  EXPECT_EQ(PromisedSha256(Kind::kApt, "d/dists/s/main/by-hash/MD5Sum/" + std::string(kDigest)),
            "");
  EXPECT_EQ(PromisedSha256(Kind::kNpm, path + kDigest), "");
}

TEST(DownloadFormsTest, Python) {
  EXPECT_EQ(FormOf(Kind::kPypi, "simple/"), "index");
  EXPECT_EQ(FormOf(Kind::kPypi, "simple/six/"), "index");
  EXPECT_EQ(FormOf(Kind::kPypi, "simple/six"), "index");
  EXPECT_EQ(FormOf(Kind::kPypi, "pypi/six/json"), "index");
  EXPECT_EQ(FormOf(Kind::kPypi, "pypi/six/1.16.0/json"), "index");
  EXPECT_EQ(FormOf(Kind::kPypi, "packages/ab/six-1.16.0-py2.py3-none-any.whl"), "fixed");
  EXPECT_EQ(FormOf(Kind::kPypi, "legacy/"), "none");
  EXPECT_EQ(FormOf(Kind::kPypi, "simple/six/more/"), "none");
  EXPECT_EQ(FormOf(Kind::kPypi, ""), "none");
  EXPECT_EQ(FormOf(Kind::kPypiFiles, "packages/ab/six.tar.gz"), "fixed");
  EXPECT_EQ(FormOf(Kind::kPypiFiles, "packages/ab/six-1-py3-none-any.whl.metadata"), "fixed");
  EXPECT_EQ(FormOf(Kind::kPypiFiles, "simple/six/"), "none");
}

TEST(DownloadFormsTest, Npm) {
  EXPECT_EQ(FormOf(Kind::kNpm, "left-pad"), "index");
  EXPECT_EQ(FormOf(Kind::kNpm, "@scope%2Fname"), "index");
  EXPECT_EQ(FormOf(Kind::kNpm, "@scope/name"), "index");
  EXPECT_EQ(FormOf(Kind::kNpm, "left-pad/1.3.0"), "index");
  EXPECT_EQ(FormOf(Kind::kNpm, "-/npm/v1/keys"), "index");
  EXPECT_EQ(FormOf(Kind::kNpm, "left-pad/-/left-pad-1.3.0.tgz"), "fixed");
  EXPECT_EQ(FormOf(Kind::kNpm, "@scope/name/-/name-1.0.0.tgz"), "fixed");
  EXPECT_EQ(FormOf(Kind::kNpm, "-/npm/v1/security/advisories/bulk"), "none");
  EXPECT_EQ(FormOf(Kind::kNpm, "-/v1/search"), "none");
  EXPECT_EQ(FormOf(Kind::kNpm, "-/whoami"), "none");
  EXPECT_EQ(FormOf(Kind::kNpm, "@scope"), "none");
  EXPECT_EQ(FormOf(Kind::kNpm, "@scope/"), "none");
  EXPECT_EQ(FormOf(Kind::kNpm, "a//b"), "none");
  EXPECT_EQ(FormOf(Kind::kNpm, ""), "none");
}

TEST(DownloadFormsTest, Cargo) {
  EXPECT_EQ(FormOf(Kind::kIndex, "config.json"), "index");
  EXPECT_EQ(FormOf(Kind::kIndex, "1/a"), "index");
  EXPECT_EQ(FormOf(Kind::kIndex, "2/ab"), "index");
  EXPECT_EQ(FormOf(Kind::kIndex, "3/a/abc"), "index");
  EXPECT_EQ(FormOf(Kind::kIndex, "se/rd/serde"), "index");
  EXPECT_EQ(FormOf(Kind::kIndex, "xx/rd/serde"), "none");
  EXPECT_EQ(FormOf(Kind::kIndex, "4/abcd"), "none");
  EXPECT_EQ(FormOf(Kind::kIndex, "se/rd/"), "none");
  EXPECT_EQ(FormOf(Kind::kIndex, ""), "none");
  EXPECT_EQ(FormOf(Kind::kCrates, "serde/serde-1.0.0.crate"), "fixed");
  EXPECT_EQ(FormOf(Kind::kCrates, "serde/1.0.0/download"), "fixed");
  EXPECT_EQ(FormOf(Kind::kCrates, "serde/1.0.0/owners"), "none");
  EXPECT_EQ(FormOf(Kind::kCrates, "serde"), "none");
}

}  // namespace
}  // namespace pyro::downloads
