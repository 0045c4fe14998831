#include "downloads/headers.h"

#include <gtest/gtest.h>

namespace pyro::downloads {
namespace {

using std::chrono::seconds;

CacheControl ControlOf(std::string_view value) {
  return ReadCacheControl({{"cache-control", std::string(value)}});
}

TEST(DownloadHeadersTest, NamesHaveNoCaseAndValuesJoin) {
  const Headers headers = {{"VARY", "a"}, {"Vary", "b"}};
  EXPECT_EQ(FindHeader(headers, "vary"), "a, b");
  EXPECT_EQ(FindHeader(headers, "ETag"), std::nullopt);
}

TEST(DownloadHeadersTest, CacheControl) {
  EXPECT_EQ(ControlOf("max-age=600, public"), (CacheControl{.max_age = seconds(600)}));
  EXPECT_EQ(ControlOf(" Private ,no-STORE"), (CacheControl{.no_store = true, .is_private = true}));
  EXPECT_EQ(ControlOf("max-age=\"5\""), (CacheControl{.max_age = seconds(5)}));
  EXPECT_EQ(ControlOf("max-age=-5"), CacheControl());
  EXPECT_EQ(ControlOf("max-age=x, max-age"), CacheControl());
  EXPECT_EQ(ControlOf("max-age=99999999999999999999999"),
            (CacheControl{.max_age = seconds(365L * 24 * 3600)}));
  EXPECT_EQ(ReadCacheControl({{"Pragma", "no-cache"}}), (CacheControl{.no_cache = true}));
}

TEST(DownloadHeadersTest, Dates) {
  EXPECT_EQ(ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), WallTime(seconds(784111777)));
  for (const char* bad : {"", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT",
                          "Sun, 06 ovD 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
                          "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT"}) {
    EXPECT_EQ(ParseHttpDate(bad), std::nullopt) << bad;
  }
}

TEST(DownloadHeadersTest, Ranges) {
  EXPECT_EQ(ReadRange("bytes=0-3", 10).part, (ByteRange{0, 3}));
  EXPECT_EQ(ReadRange("bytes=4-", 10).part, (ByteRange{4, 9}));
  EXPECT_EQ(ReadRange("bytes=4-99", 10).part, (ByteRange{4, 9}));
  EXPECT_EQ(ReadRange("Bytes= -4", 10).part, (ByteRange{6, 9}));
  EXPECT_EQ(ReadRange("bytes=-99", 10).part, (ByteRange{0, 9}));
  EXPECT_TRUE(ReadRange("bytes=10-", 10).impossible);
  EXPECT_TRUE(ReadRange("bytes=-0", 10).impossible);
  EXPECT_TRUE(ReadRange("bytes=0-", 0).impossible);
  EXPECT_TRUE(ReadRange("bytes=99999999999999999999999-", 10).impossible);
  for (const char* all :
       {"", "bytes=", "bytes=-", "bytes=3-1", "bytes=0-1,4-5", "lines=0-1", "0-1"}) {
    const AskedRange asked = ReadRange(all, 10);
    EXPECT_TRUE(!asked.part && !asked.impossible) << all;
  }
}

TEST(DownloadHeadersTest, Conditions) {
  const std::string date = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_TRUE(ClientHasIt({{"If-None-Match", "\"a\", W/\"b\""}}, "\"b\"", ""));
  EXPECT_TRUE(ClientHasIt({{"If-None-Match", "*"}}, "", ""));
  EXPECT_FALSE(
      ClientHasIt({{"If-None-Match", "\"a\""}, {"If-Modified-Since", date}}, "\"b\"", date));
  EXPECT_FALSE(ClientHasIt({{"If-None-Match", ""}}, "", ""));
  EXPECT_TRUE(ClientHasIt({{"If-Modified-Since", date}}, "", date));
  EXPECT_FALSE(ClientHasIt({{"If-Modified-Since", date}}, "", "Sun, 06 Nov 1994 08:49:38 GMT"));
  EXPECT_FALSE(ClientHasIt({{"If-Modified-Since", date}}, "", ""));
  EXPECT_FALSE(ClientHasIt({}, "\"b\"", date));

  EXPECT_TRUE(MaySendPart({}, "", ""));
  EXPECT_TRUE(MaySendPart({{"If-Range", "\"a\""}}, "\"a\"", ""));
  EXPECT_TRUE(MaySendPart({{"If-Range", date}}, "", date));
  EXPECT_FALSE(MaySendPart({{"If-Range", "W/\"a\""}}, "W/\"a\"", ""));
  EXPECT_FALSE(MaySendPart({{"If-Range", "\"a\""}}, "\"b\"", date));
}

}  // namespace
}  // namespace pyro::downloads
