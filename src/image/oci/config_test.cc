#include "image/oci/config.h"

#include <string>

#include <gtest/gtest.h>

#include "base/json.h"

namespace pyro::image {
namespace {

constexpr const char* kWhole = R"({
  "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "author": 3,
  "config": {
    "Env": ["PATH=/bin", "A=1", "A=2=3", "EMPTY="], "WorkingDir": "srv/app", "User": "app:staff",
    "Entrypoint": ["/entry", "--x"], "Cmd": ["serve"], "StopSignal": "SIGQUIT",
    "Labels": {"a": "b"}, "ExposedPorts": null
  },
  "rootfs": {"type": "layers", "diff_ids": []}
})";

Json WholeJson() { return Json::parse(kWhole); }

void ExpectRefused(const Json& json) {
  const auto parsed = ParseImageConfig(json.dump());
  ASSERT_FALSE(parsed) << json.dump().substr(0, 1000);
  EXPECT_EQ(parsed.error().code, ErrorCode::kDataLoss);
}

TEST(ImageConfig, TakesWhatPyroHonoursAndIgnoresTheRest) {
  const auto config = ParseImageConfig(kWhole);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, "amd64");
  EXPECT_EQ(config->os, "linux");
  EXPECT_EQ(config->env, (std::vector<std::string>{"PATH=/bin", "A=2=3", "EMPTY="}));
  EXPECT_EQ(config->working_dir, "/srv/app");
  EXPECT_EQ(config->user, "app:staff");
  EXPECT_EQ(config->entrypoint, (std::vector<std::string>{"/entry", "--x"}));
  EXPECT_EQ(config->command, std::vector<std::string>{"serve"});
  EXPECT_EQ(config->stop_signal, "SIGQUIT");
}

TEST(ImageConfig, NullsAndMissingFieldsAreEmpty) {
  for (const char* text :
       {R"({"architecture": "arm64", "os": "linux"})",
        R"({"architecture": "arm64", "os": "linux", "config": null})",
        R"({"architecture": "arm64", "os": "linux", "config": {}})",
        R"({"architecture": "arm64", "os": "linux", "config": {"Env": null, "Cmd": null,
            "User": null, "WorkingDir": ""}})"}) {
    const auto config = ParseImageConfig(text);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_TRUE(config->env.empty() && config->command.empty() && config->entrypoint.empty());
    EXPECT_TRUE(config->working_dir.empty() && config->user.empty());
  }
}

TEST(ImageConfig, SurvivesARoundTrip) {
  const auto config = ParseImageConfig(kWhole);
  ASSERT_TRUE(config);
  const Json json = ImageConfigToJson(*config);
  const auto again = ImageConfigFromJson(json);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(ImageConfigToJson(*again), json);
  EXPECT_EQ(again->env, config->env);
  EXPECT_EQ(again->working_dir, "/srv/app");
}

TEST(ImageConfig, RefusesFieldsOfAnotherType) {
  for (const char* key : {"Env", "Entrypoint", "Cmd", "WorkingDir", "User", "StopSignal"}) {
    for (const Json& value : {Json(3), Json(true), Json::object(), Json{"a=b", 3}}) {
      Json json = WholeJson();
      json["config"][key] = value;
      ExpectRefused(json);
    }
  }
  for (const char* key : {"architecture", "os"}) {
    Json json = WholeJson();
    json[key] = 3;
    ExpectRefused(json);
    json.erase(key);
    ExpectRefused(json);
  }
  Json json = WholeJson();
  json["config"] = "text";
  ExpectRefused(json);
}

TEST(ImageConfig, RefusesWhatNoProgramCanBeGiven) {
  for (const Json& env : {Json{std::string("A=b\0c", 5)}, Json{"A=" + std::string(40000, 'x')}}) {
    Json json = WholeJson();
    json["config"]["Env"] = env;
    ExpectRefused(json);
  }
  Json json = WholeJson();
  json["config"]["Cmd"] = Json(std::vector<std::string>(1025, "x"));
  ExpectRefused(json);
  json = WholeJson();
  json["config"]["Cmd"] = Json(std::vector<std::string>(9, std::string(32000, 'x')));
  ExpectRefused(json);
  json = WholeJson();
  json["config"]["WorkingDir"] = std::string(4096, '/');
  ExpectRefused(json);
}

TEST(ImageConfig, EntriesThatSetNothingAreToldAndNotKept) {
  Json json = WholeJson();
  json["config"]["Env"] = {"NOVALUE", "A=1", "=value", ""};
  const auto config = ImageConfigFromJson(json);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->env, std::vector<std::string>{"A=1"});
  EXPECT_EQ(config->unusable, (std::vector<std::string>{"NOVALUE", "=value", ""}));
}

TEST(ImageConfig, RefusesBytesThatAreNoConfiguration) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string(100000, '['), std::string(kMaxImageConfigBytes + 1, ' ')}) {
    const auto parsed = ParseImageConfig(text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kDataLoss);
  }
}

TEST(ImageConfig, OnlyTheGuestsOwnPlatformRuns) {
  ImageConfig config;
  config.os = "linux";
  config.architecture = "amd64";
  EXPECT_TRUE(CheckRunsInGuests(config));
  config.architecture = "arm64";
  const Status refused = CheckRunsInGuests(config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.error().message, "the image is for linux/arm64, and guests are linux/amd64");
  config.architecture = "amd64";
  config.os = "windows";
  EXPECT_FALSE(CheckRunsInGuests(config));
}

}  // namespace
}  // namespace pyro::image
