#include "downloads/entry.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace pyro::downloads {
namespace {

Entry ExampleEntry() {
  return {.key = {.url = "https://registry.example/a.tgz", .accept = "*/*"},
          .sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          .size = 5,
          .content_type = "application/octet-stream",
          .etag = "\"x\"",
          .last_modified = "Sun, 06 Nov 1994 08:49:37 GMT",
          .fetched_at = WallTime(std::chrono::milliseconds(1000)),
          .checked_at = WallTime(std::chrono::milliseconds(2000)),
          .max_age = std::chrono::seconds(600)};
}

TEST(DownloadEntryTest, IsReadBackAsItWasWritten) {
  const auto again = ParseEntry(FormatEntry(ExampleEntry()));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(*again, ExampleEntry());
}

TEST(DownloadEntryTest, RefusesEveryMissingField) {
  const Json good = *ParseJson(FormatEntry(ExampleEntry()));
  for (const auto& [key, value] : good.items()) {
    Json bad = good;
    bad.erase(key);
    EXPECT_FALSE(ParseEntry(bad.dump()).ok()) << key;
  }
}

TEST(DownloadEntryTest, RefusesWhatBreaksItsRules) {
  const auto with = [](const char* key, const Json& value) {
    Json json = *ParseJson(FormatEntry(ExampleEntry()));
    json[key] = value;
    return ParseEntry(json.dump());
  };
  EXPECT_FALSE(with("format", 2).ok());
  EXPECT_FALSE(with("url", "https://registry.example/../a").ok());
  EXPECT_FALSE(with("url", "HTTPS://registry.example/a").ok());
  EXPECT_FALSE(with("sha256", "../../../etc/passwd").ok());
  EXPECT_FALSE(with("sha256", "").ok());
  EXPECT_FALSE(with("etag", "a\r\nSet-Cookie: b").ok());
  EXPECT_FALSE(with("content_type", std::string(kMaxEntryText + 1, 'a')).ok());
  EXPECT_FALSE(with("size", -1).ok());
  EXPECT_FALSE(with("max_age_seconds", -1).ok());
  EXPECT_FALSE(ParseEntry("").ok());
  EXPECT_FALSE(ParseEntry("[]").ok());
}

TEST(DownloadEntryTest, FormsOfOneUrlAreTwoThings) {
  EXPECT_NE((EntryKey{"https://a/", "text/html"}.Id()), (EntryKey{"https://a/", "*/*"}.Id()));
  EXPECT_EQ((EntryKey{"https://a/", "*/*"}.Id()).size(), 64U);
}

}  // namespace
}  // namespace pyro::downloads
