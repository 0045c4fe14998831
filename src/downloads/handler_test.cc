#include "downloads/handler.h"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "downloads/testing/fake_source.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::downloads {
namespace {

namespace fs = std::filesystem;
using testing::MemorySink;
using testing::Served;

constexpr const char* kTgz = "https://npm.example/a/-/a-1.tgz";
constexpr const char* kPage = "https://npm.example/a";

class DownloadHandlerTest : public ::testing::Test {
 protected:
  DownloadHandlerTest() {
    EXPECT_TRUE(store_.Prepare().ok());
    source_.pages[kTgz] = {.headers = {{"Content-Type", "application/gzip"}, {"ETag", "\"t\""}},
                           .body = body_};
    source_.pages[kPage] = {.headers = {{"ETag", "\"1\""}}, .body = "page 1"};
  }

  MemorySink Ask(std::string_view target, Headers headers = {}, std::string method = "GET") {
    MemorySink sink;
    Ask(target, std::move(headers), std::move(method), sink);
    return sink;
  }
  void Ask(std::string_view target, Headers headers, std::string method, MemorySink& sink) {
    const auto handled = handler_.Answer({.method = std::move(method),
                                          .tls = true,
                                          .host = "npm.example",
                                          .port = 443,
                                          .target = std::string(target),
                                          .headers = std::move(headers)},
                                         sink, source_);
    failed_ = !handled.ok();
    why_ = handled ? handled->value_or("") : handled.error().message;
  }

  std::vector<fs::path> Contents() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path() / "d/content")) {
      if (!entry.is_directory()) files.push_back(entry.path());
    }
    return files;
  }

  const std::string body_ = std::string(5000, 'x') + "end";
  sys::TestDirectory directory_;
  testing::SetClock clock_;
  std::vector<std::string> lines_;
  Store store_{{.root = directory_.path() / "d",
                .clock = &clock_,
                .report = [this](const Report& report) { lines_.push_back(report.line); }}};
  testing::FakeSource source_;
  Handler handler_{*Routes::Parse("@npm npm https://npm.example/\n"
                                  "@debian apt https://npm.example/debian/\n"
                                  "@pypi pypi https://npm.example/py/ http://10.0.0.1:81/py/\n"),
                   store_};
  bool failed_ = false;
  std::string why_;
};

TEST_F(DownloadHandlerTest, TheSecondTimeNothingIsFetched) {
  const MemorySink first = Ask("/a/-/a-1.tgz");
  EXPECT_EQ(first.how(), "miss");
  EXPECT_EQ(first.body, body_);
  source_.away = true;
  const MemorySink second = Ask("/a/-/a-1.tgz");
  EXPECT_EQ(second.how(), "hit");
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.body, body_);
  EXPECT_EQ(second.Header("Content-Type"), "application/gzip");
  EXPECT_EQ(second.Header("Content-Length"), std::to_string(body_.size()));
  EXPECT_EQ(source_.asked.size(), 1U);
  EXPECT_EQ(handler_.stats().bytes_fetched, body_.size());
  EXPECT_EQ(handler_.stats().bytes_from_cache, body_.size());
  EXPECT_TRUE(lines_.empty());
}

TEST_F(DownloadHandlerTest, AnIndexIsAskedForAgain) {
  EXPECT_EQ(Ask("/a").body, "page 1");
  EXPECT_EQ(Ask("/a").how(), "hit");  // At the same moment of the clock.
  clock_.now += std::chrono::seconds(1);
  const MemorySink same = Ask("/a");
  EXPECT_EQ(same.how(), "checked");
  EXPECT_EQ(same.body, "page 1");
  EXPECT_EQ(FindHeader(source_.asked.back().headers, "If-None-Match"), "\"1\"");
  source_.pages[kPage] = {.headers = {{"ETag", "\"2\""}}, .body = "page 2"};
  clock_.now += std::chrono::seconds(1);
  EXPECT_EQ(Ask("/a").body, "page 2");
  EXPECT_EQ(Ask("/a").body, "page 2");
  EXPECT_EQ(source_.asked.size(), 3U);
}

TEST_F(DownloadHandlerTest, AnIndexStaysForTheTimeThatItsSourceSays) {
  source_.pages[kPage].headers.emplace_back("Cache-Control", "max-age=600");
  source_.pages[kPage].headers.emplace_back("Age", "100");
  Ask("/a");
  clock_.now += std::chrono::seconds(499);
  EXPECT_EQ(Ask("/a").how(), "hit");
  EXPECT_EQ(Ask("/a", {{"Cache-Control", "max-age=0"}}).how(), "checked");
  clock_.now += std::chrono::seconds(601);
  EXPECT_EQ(Ask("/a").how(), "checked");
  clock_.now += std::chrono::seconds(1);
  EXPECT_EQ(Ask("/a", {{"Pragma", "no-cache"}}).how(), "checked");
}

TEST_F(DownloadHandlerTest, AnEntryOfTheFutureIsAskedForAgain) {
  Ask("/a");
  clock_.now -= std::chrono::hours(1);
  EXPECT_EQ(Ask("/a").how(), "checked");
  EXPECT_EQ(Ask("/a").how(), "hit");
}

TEST_F(DownloadHandlerTest, NoCacheFetchesAlsoWhatNeverChanges) {
  Ask("/a/-/a-1.tgz");
  clock_.now += std::chrono::seconds(1);
  EXPECT_EQ(Ask("/a/-/a-1.tgz", {{"Cache-Control", "max-age=0"}}).how(), "hit");
  EXPECT_EQ(Ask("/a/-/a-1.tgz", {{"Cache-Control", "no-cache"}}).how(), "checked");
}

TEST_F(DownloadHandlerTest, WithoutItsSourceAnIndexIsServedAsItWas) {
  Ask("/a");
  clock_.now += std::chrono::hours(24 * 30);
  source_.away = true;
  const MemorySink stale = Ask("/a");
  EXPECT_EQ(stale.how(), "stale");
  EXPECT_EQ(stale.status, 200);
  EXPECT_EQ(stale.body, "page 1");
  EXPECT_EQ(lines_.size(), 1U);
  // The source is not asked again for some seconds.
  EXPECT_EQ(Ask("/a").how(), "stale");
  EXPECT_EQ(source_.asked.size(), 2U);
  EXPECT_EQ(lines_.size(), 1U);
}

TEST_F(DownloadHandlerTest, WhatIsNotThereIsRefusedWithWords) {
  source_.away = true;
  const MemorySink sink = Ask("/b/-/b-1.tgz");
  EXPECT_EQ(sink.status, 504);
  EXPECT_NE(sink.body.find("/b/-/b-1.tgz"), std::string::npos);
  EXPECT_NE(sink.body.find("the network is down"), std::string::npos);
}

TEST_F(DownloadHandlerTest, ASourceInTroubleIsAsGoodAsNone) {
  Ask("/a");
  clock_.now += std::chrono::seconds(1);
  source_.pages[kPage] = {.status = 503, .body = "busy"};
  EXPECT_EQ(Ask("/a").body, "page 1");
  EXPECT_EQ(Ask("/a").how(), "stale");
  source_.pages["https://npm.example/b"] = {.status = 503, .body = "busy"};
  EXPECT_EQ(Ask("/b").status, 503);
}

TEST_F(DownloadHandlerTest, AChangedFileIsRefusedAndFetchedAgain) {
  Ask("/a/-/a-1.tgz");
  std::string other = body_;
  other[17] = 'y';
  ASSERT_TRUE(sys::WriteFileAtomically(Contents().at(0), other).ok());
  const MemorySink again = Ask("/a/-/a-1.tgz");
  EXPECT_EQ(again.how(), "miss");
  EXPECT_EQ(again.body, body_);
  ASSERT_EQ(lines_.size(), 1U);
  EXPECT_NE(lines_[0].find("was removed"), std::string::npos);
}

TEST_F(DownloadHandlerTest, AChangedFileIsRefusedWithoutASource) {
  Ask("/a/-/a-1.tgz");
  ASSERT_TRUE(sys::WriteFileAtomically(Contents().at(0), body_.substr(1)).ok());
  source_.away = true;
  EXPECT_EQ(Ask("/a/-/a-1.tgz").status, 504);
  EXPECT_TRUE(Contents().empty());
}

TEST_F(DownloadHandlerTest, CredentialsAreNotForTheCache) {
  for (const char* name : {"Authorization", "authorization", "Cookie", "Proxy-Authorization"}) {
    EXPECT_EQ(Ask("/a", {{name, "hidden"}}).status, 0) << name;
    EXPECT_NE(why_, "");
    EXPECT_EQ(why_.find("hidden"), std::string::npos);
  }
  EXPECT_TRUE(source_.asked.empty());
}

TEST_F(DownloadHandlerTest, OtherMethodsAndPathsAreNotForTheCache) {
  Ask("/a", {}, "POST");
  EXPECT_NE(why_.find("POST"), std::string::npos);
  Ask("/-/whoami");
  EXPECT_NE(why_.find("@npm"), std::string::npos);
  Ask("/a?data=1");
  EXPECT_NE(why_, "");
  Ask("/a/../b");
  EXPECT_NE(why_, "");
  Ask("http://other.example/a");
  EXPECT_NE(why_, "");
  EXPECT_TRUE(source_.asked.empty());
}

TEST_F(DownloadHandlerTest, NoHeaderOfAGuestReachesASource) {
  Ask("/a", {{"X-Data", "hidden"},
             {"User-Agent", "hidden"},
             {"Accept", "hidden"},
             {"If-None-Match", "hidden"},
             {"Range", "bytes=0-1"},
             {"Referer", "hidden"}});
  ASSERT_EQ(source_.asked.size(), 1U);
  for (const auto& [name, value] : source_.asked[0].headers) {
    EXPECT_EQ(value.find("hidden"), std::string::npos) << name;
    EXPECT_NE(name, "Range");
  }
}

TEST_F(DownloadHandlerTest, PrivateResponsesAreNotKept) {
  for (const char* control : {"private", "no-store", "max-age=9, Private"}) {
    source_.pages[kTgz].headers = {{"Cache-Control", control}};
    EXPECT_EQ(Ask("/a/-/a-1.tgz").body, body_);
    EXPECT_EQ(Ask("/a/-/a-1.tgz").how(), "miss") << control;
  }
  for (const Headers& headers : {Headers{{"Vary", "*"}}, Headers{{"Content-Encoding", "gzip"}}}) {
    source_.pages[kTgz].headers = headers;
    EXPECT_EQ(Ask("/a/-/a-1.tgz").body, body_);
  }
  source_.pages[kTgz] = {.body = body_, .framing = Framing::kUntilClose};
  EXPECT_EQ(Ask("/a/-/a-1.tgz").body, body_);
  EXPECT_TRUE(Contents().empty());
}

TEST_F(DownloadHandlerTest, ABodyThatIsCutIsNotKept) {
  source_.pages[kTgz].cut_after = 3000;
  Ask("/a/-/a-1.tgz");
  EXPECT_TRUE(failed_);
  EXPECT_TRUE(Contents().empty());
  EXPECT_EQ(Ask("/a/-/a-1.tgz", {{"Range", "bytes=0-1"}}).status, 504);
}

TEST_F(DownloadHandlerTest, AGuestThatHangsUpLeavesNothing) {
  MemorySink sink;
  sink.most = 2000;
  Ask("/a/-/a-1.tgz", {}, "GET", sink);
  EXPECT_TRUE(failed_);
  EXPECT_TRUE(Contents().empty());
}

TEST_F(DownloadHandlerTest, PartsAndHeads) {
  const MemorySink head = Ask("/a/-/a-1.tgz", {}, "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("Content-Length"), std::to_string(body_.size()));
  EXPECT_EQ(head.body, "");
  const MemorySink part = Ask("/a/-/a-1.tgz", {{"Range", "bytes=-3"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "end");
  EXPECT_EQ(part.Header("Content-Range"), "bytes 5000-5002/5003");
  EXPECT_EQ(Ask("/a/-/a-1.tgz", {{"Range", "bytes=5003-"}}).status, 416);
  EXPECT_EQ(Ask("/a/-/a-1.tgz", {{"Range", "bytes=0-1"}, {"If-Range", "\"old\""}}).body, body_);
  EXPECT_EQ(Ask("/a/-/a-1.tgz", {{"If-None-Match", "\"t\""}}).status, 304);
  EXPECT_EQ(source_.asked.size(), 1U);
}

TEST_F(DownloadHandlerTest, FormsOfAnIndexAreKeptApart) {
  const Headers json = {{"Accept", "application/vnd.pypi.simple.v1+json, text/html; q=0.01"}};
  source_.pages["http://10.0.0.1:81/py/simple/six/"] = {.body = "html"};
  EXPECT_EQ(Ask("/py/simple/six/").body, "html");
  source_.pages["http://10.0.0.1:81/py/simple/six/"] = {.body = "json"};
  EXPECT_EQ(Ask("/py/simple/six/", json).body, "json");
  EXPECT_EQ(Ask("/py/simple/six/").body, "html");
  EXPECT_EQ(source_.asked.size(), 2U);
  EXPECT_TRUE(source_.asked[0].may_be_local);
}

TEST_F(DownloadHandlerTest, RedirectsAreFollowedAndGuarded) {
  const auto leads_to = [&](const std::string& where) {
    source_.pages["http://10.0.0.1:81/py/x.whl"] = {.status = 302,
                                                    .headers = {{"Location", where}}};
  };
  source_.pages["https://cdn.example/x"] = {.body = "wheel"};
  leads_to("https://cdn.example/x");
  EXPECT_EQ(Ask("/py/x.whl").body, "wheel");
  // Another server than the configuration names gets none of its rights.
  EXPECT_TRUE(source_.asked[0].may_be_local);
  EXPECT_FALSE(source_.asked[1].may_be_local);
  EXPECT_EQ(Ask("/py/x.whl").how(), "hit");

  source_.pages[kTgz] = {.status = 301, .headers = {{"Location", "http://npm.example/plain"}}};
  EXPECT_EQ(Ask("/a/-/a-1.tgz").status, 504);
  source_.pages[kTgz] = {.status = 301, .headers = {{"Location", kTgz}}};
  EXPECT_EQ(Ask("/a/-/a-1.tgz").status, 504);
  EXPECT_EQ(source_.asked.size(), 2U + 1U + 6U);
  source_.pages[kTgz] = {.status = 301};
  EXPECT_EQ(Ask("/a/-/a-1.tgz").status, 504);
}

TEST_F(DownloadHandlerTest, ByHashMustHaveItsHash) {
  const std::string path = "/debian/dists/s/main/by-hash/SHA256/";
  source_.pages["https://npm.example" + path + Sha256Of("right")] = {.body = "right"};
  source_.pages["https://npm.example" + path + Sha256Of("left")] = {.body = "wrong"};
  Ask(path + Sha256Of("right"));
  EXPECT_EQ(Contents().size(), 1U);
  Ask(path + Sha256Of("left"));
  EXPECT_EQ(Contents().size(), 1U);
  EXPECT_EQ(lines_.size(), 1U);
}

TEST_F(DownloadHandlerTest, WhatIsGoneIsNotServedFromTheCache) {
  Ask("/a");
  clock_.now += std::chrono::seconds(1);
  source_.pages.erase(kPage);
  EXPECT_EQ(Ask("/a").status, 404);
  source_.away = true;
  EXPECT_EQ(Ask("/a").status, 504);
}

TEST_F(DownloadHandlerTest, GuestsThatAskAtOnceFetchOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      MemorySink sink;
      const Request request = {.method = "GET",
                               .tls = true,
                               .host = "npm.example",
                               .port = 443,
                               .target = "/a/-/a-1.tgz"};
      if (handler_.Answer(request, sink, source_).ok() && sink.body == body_) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
  EXPECT_EQ(source_.asked.size(), 1U);
}

TEST_F(DownloadHandlerTest, AStoreThatCannotBeWrittenIsToldAndServesOn) {
  fs::remove_all(directory_.path() / "d/partial");
  ASSERT_TRUE(sys::WriteFileAtomically(directory_.path() / "d/partial", "").ok());
  EXPECT_EQ(Ask("/a/-/a-1.tgz").body, body_);
  EXPECT_EQ(lines_.size(), 1U);
}

}  // namespace
}  // namespace pyro::downloads
