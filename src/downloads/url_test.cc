#include "downloads/url.h"

#include <string>

#include <gtest/gtest.h>

namespace pyro::downloads {
namespace {

std::string Spelled(std::string_view text) {
  const auto url = ParseUrl(text);
  return url ? url->Text() : "none: " + url.error().message;
}

TEST(DownloadUrlTest, HasOneSpelling) {
  EXPECT_EQ(Spelled("HTTPS://Registry.Example.:443/a%7eb/%2f?x#part"),
            "https://registry.example/a~b/%2F?x");
  EXPECT_EQ(Spelled("http://registry.example"), "http://registry.example/");
  EXPECT_EQ(Spelled("http://registry.example:8081/%40scope%2fname"),
            "http://registry.example:8081/%40scope%2Fname");
  EXPECT_EQ(Spelled("http://198.51.100.7:80/"), "http://198.51.100.7/");
}

TEST(DownloadUrlTest, RefusesWhatIsNone) {
  for (const char* bad : {"",
                          "registry.example/a",
                          "ftp://registry.example/",
                          "https:///a",
                          "https://:80/",
                          "https://registry.example:0/",
                          "https://registry.example:65536/",
                          "https://registry.example:/",
                          "https://a..b/",
                          "https://[2001:db8::1]/",
                          "https://a b/",
                          "https://a/\x01",
                          "https://a/%",
                          "https://a/%4",
                          "https://a/%zz",
                          "https://a/b/../c",
                          "https://a/%2e%2E/c",
                          "https://a/b%2f..%2Fc",
                          "https://a/b/..%5cc",
                          "https://a/b/..;c/d",
                          "https://a/b%2F.",
                          "https://a/.",
                          "https://a/\xc3\xa4",
                          "https://a/\\b"}) {
    const auto url = ParseUrl(bad);
    ASSERT_FALSE(url.ok()) << bad;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(ParseUrl("https://a/" + std::string(kMaxUrlBytes, 'b')).ok());
}

TEST(DownloadUrlTest, AnErrorDoesNotRepeatAPassword) {
  for (const char* text :
       {"https://user:hidden@registry.example/", "ftp://user:hidden@registry.example/",
        "user:hidden@registry.example/", "//user:hidden@registry.example/",
        "https://user:hid/hidden@registry.example/", "https://registry.example/a?b@hidden^\x01"}) {
    const auto url = ParseUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.error().message.find("hid"), std::string::npos) << url.error().message;
  }
}

TEST(DownloadUrlTest, FollowsARedirect) {
  const Url from = *ParseUrl("https://registry.example/a/b?q");
  EXPECT_EQ(FollowUrl(from, "https://other.example/x")->Text(), "https://other.example/x");
  EXPECT_EQ(FollowUrl(from, "//other.example/x")->Text(), "https://other.example/x");
  EXPECT_EQ(FollowUrl(from, "/x?y=http://z")->Text(), "https://registry.example/x?y=http://z");
  EXPECT_EQ(FollowUrl(from, "x")->Text(), "https://registry.example/a/x");
  EXPECT_EQ(FollowUrl(from, "../../../x/")->Text(), "https://registry.example/x/");
  EXPECT_EQ(FollowUrl(from, "..")->Text(), "https://registry.example/");
  EXPECT_EQ(FollowUrl(from, "")->Text(), "https://registry.example/a/b");
  EXPECT_EQ(FollowUrl(*ParseUrl("http://a:81/"), "/x")->Text(), "http://a:81/x");
  EXPECT_FALSE(FollowUrl(from, "ftp://other.example/").ok());
  EXPECT_FALSE(FollowUrl(from, "/%2e%2e/x").ok());
}

}  // namespace
}  // namespace pyro::downloads
