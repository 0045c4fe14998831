#include <fstream>

#include <gtest/gtest.h>

#include "image/oci/skopeo.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

ImageSource Registry() { return {Transport::kRegistry, "registry.example:5000/team/app", "1", ""}; }

std::string Fatal(std::string_view words) {
  return "Getting image source signatures\ntime=\"2026-01-01T00:00:00Z\" level=fatal msg=\"" +
         std::string(words) + "\"\n";
}

// As skopeo 1.9.3 says them.
TEST(SkopeoWords, EachFailureHasItsCode) {
  const struct {
    const char* words;
    ErrorCode code;
    bool transient;
  } cases[] = {
      {R"(Error parsing image name \"docker://registry.example:5000/team/app:1\": pinging container registry registry.example:5000: Get \"https://registry.example:5000/v2/\": http: server gave HTTP response to HTTPS client)",
       ErrorCode::kInvalidArgument, false},
      {R"(Error parsing image name \"x\": reading manifest 2 in registry.example:5000/app: manifest unknown: manifest unknown)",
       ErrorCode::kNotFound, false},
      {R"(reading manifest 1 in registry.example/app: StatusCode: 404, <html>not here</html>)",
       ErrorCode::kNotFound, false},
      {R"(reading manifest 1 in registry.example/app: unauthorized: authentication required)",
       ErrorCode::kPermissionDenied, false},
      {R"(reading manifest 1 in registry.example/app: denied)", ErrorCode::kPermissionDenied,
       false},
      {R"(pinging container registry registry.example: Get \"http://registry.example/v2/\": dial tcp 127.0.0.1:5992: connect: connection refused)",
       ErrorCode::kUnavailable, false},
      {R"(Get \"http://x.invalid/v2/\": dial tcp: lookup x.invalid on 10.0.0.1:53: no such host)",
       ErrorCode::kUnavailable, false},
      {R"(writing blob: happened during read: unexpected EOF)", ErrorCode::kUnavailable, true},
      {R"(writing blob: happened during read: read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer)",
       ErrorCode::kUnavailable, true},
      {R"(reading blob sha256:33: Error fetching blob: invalid status code from registry 500 (Internal Server Error))",
       ErrorCode::kUnavailable, true},
      {R"(received unexpected HTTP status: 503 Service Unavailable)", ErrorCode::kUnavailable,
       true},
      {R"(reading manifest 1 in x: toomanyrequests: slow down)", ErrorCode::kUnavailable, false},
      {R"(reading blob sha256:33: Error fetching blob: invalid status code from registry 404 (Not Found))",
       ErrorCode::kDataLoss, false},
      {R"(writing blob: happened during read: Digest did not match, expected sha256:33, got sha256:9e)",
       ErrorCode::kDataLoss, false},
      {R"(Download config.json digest sha256:1 does not match expected sha256:2)",
       ErrorCode::kDataLoss, false},
      {R"(reading manifest 1 in x: StatusCode: 429, slow)", ErrorCode::kUnavailable, false},
      {R"(Error fetching blob: invalid status code from registry 429 (Too Many Requests))",
       ErrorCode::kUnavailable, false},
      {R"(reading manifest 1 in x: StatusCode: 503, <html>)", ErrorCode::kUnavailable, true},
      {R"(Manifest does not match provided manifest digest sha256:12)", ErrorCode::kDataLoss,
       false},
      {R"(writing blob: storing blob to file \"/x/oci-put-blob1\": write /x/oci-put-blob1: no space left on device)",
       ErrorCode::kNoSpace, false},
      {R"(Get \"https://registry.example/v2/\": x509: certificate signed by unknown authority)",
       ErrorCode::kInvalidArgument, false},
      {R"(Source image rejected: Running image docker://x is rejected by policy.)",
       ErrorCode::kPermissionDenied, false},
      {R"(something new)", ErrorCode::kInternal, false},
  };
  for (const auto& one : cases) {
    const auto failure = ExplainSkopeo(Fatal(one.words), Registry());
    EXPECT_EQ(failure.error.code, one.code) << one.words << ": " << failure.error.message;
    EXPECT_EQ(failure.transient, one.transient) << one.words;
    EXPECT_EQ(failure.error.message.find("{}"), std::string::npos);
    EXPECT_EQ(failure.error.hint.empty(), one.code == ErrorCode::kInternal) << one.words;
  }
}

TEST(SkopeoWords, HintsNameTheRegistry) {
  const auto login = ExplainSkopeo(Fatal("unauthorized"), Registry());
  EXPECT_EQ(login.error.message,
            "'registry.example:5000' wants another login than it was given, or one at all");
  EXPECT_NE(login.error.hint.find("skopeo login registry.example:5000"), std::string::npos);
}

TEST(SkopeoWords, AnImageThatIsNotThereIsNamedInFull) {
  const auto missing = ExplainSkopeo(Fatal("manifest unknown"), Registry());
  EXPECT_EQ(missing.error.message,
            "there is no image 'registry.example:5000/team/app:1', or no such tag or digest of it");
}

TEST(SkopeoWords, QuotedWordsLeaveOutTheImagesName) {
  const auto refused = ExplainSkopeo(
      Fatal(R"(Error parsing image name \"docker://x\": dial tcp: connect: connection refused)"),
      Registry());
  EXPECT_EQ(refused.error.message,
            "'registry.example:5000' cannot be reached: dial tcp: connect: connection refused");
}

TEST(SkopeoWords, WhatIsNotKnownIsQuotedAndShort) {
  const auto odd = ExplainSkopeo(Fatal(R"(a \"quoted\" word\nand \x1b more)"), Registry());
  EXPECT_EQ(odd.error.message, "'skopeo' failed: a \"quoted\" word and x1b more");
  const auto long_words = ExplainSkopeo(std::string(100'000, 'x'), Registry());
  EXPECT_LT(long_words.error.message.size(), 400U);
  EXPECT_EQ(ExplainSkopeo("", Registry()).error.message, "'skopeo' failed: it printed nothing");
  EXPECT_EQ(ExplainSkopeo("panic\n\n", Registry()).error.message, "'skopeo' failed: panic");
}

TEST(Authfile, IsReadBeforeSkopeoIsAsked) {
  const sys::TestDirectory directory;
  EXPECT_TRUE(CheckAuthfile({}));
  const auto file = directory.path() / "auth.json";
  EXPECT_EQ(CheckAuthfile(file).error().code, ErrorCode::kNotFound);
  std::ofstream(file) << "user:secret";
  const auto broken = CheckAuthfile(file);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(broken.error().message.find("secret"), std::string::npos);
  std::ofstream(file) << R"({"auths":{}})";
  EXPECT_TRUE(CheckAuthfile(file));
}

}  // namespace
}  // namespace pyro::image
