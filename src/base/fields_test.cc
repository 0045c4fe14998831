#include "base/fields.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "pyro/enums.h"

namespace pyro {
namespace {

struct Part {
  std::string word;
};

struct Whole {
  int count = 1;
  std::uint64_t bytes = 2;
  bool flag = false;
  Outcome outcome = Outcome::kExited;
  WallTime at{};
  std::optional<WallTime> ended;
  std::chrono::seconds ttl{3};
  std::optional<std::chrono::milliseconds> took;
  std::string text;
  std::filesystem::path path;
  Part part;
  std::optional<Part> perhaps;
  std::vector<Part> parts;
  std::string added = "as before";
};

constexpr Field kPartFields[] = {Row<Part, &Part::word>("word").To(8)};
constexpr Field kWholeFields[] = {
    Row<Whole, &Whole::count>("count").From(1).To(9),
    Row<Whole, &Whole::bytes>("bytes"),
    Row<Whole, &Whole::flag>("flag"),
    Row<Whole, &Whole::outcome>("outcome"),
    Row<Whole, &Whole::at>("at"),
    Row<Whole, &Whole::ended>("ended"),
    Row<Whole, &Whole::ttl>("ttl_seconds"),
    Row<Whole, &Whole::took>("took_ms"),
    Row<Whole, &Whole::text>("text").To(8),
    Row<Whole, &Whole::path>("path").From(1),
    Row<Whole, &Whole::part>("part").Of(kPartFields),
    Row<Whole, &Whole::perhaps>("perhaps").Of(kPartFields),
    Row<Whole, &Whole::parts>("parts").Of(kPartFields),
    Row<Whole, &Whole::part, &Part::word>("first_word"),
    Row<Whole, &Whole::added>("added").MayLack(),
};

Whole Example() {
  Whole whole;
  whole.count = 7;
  whole.bytes = 5'000'000'000;
  whole.flag = true;
  whole.outcome = Outcome::kTimedOut;
  whole.at = WallTime(std::chrono::milliseconds(1'700'000'000'123));
  whole.text = "words";
  whole.path = "/a/b";
  whole.part.word = "one";
  whole.parts = {{"two"}, {"three"}};
  return whole;
}

Json ExampleJson() {
  const Whole whole = Example();
  return FieldsToJson(kWholeFields, &whole);
}

TEST(FieldsTest, EveryKindOfMemberHasItsForm) {
  Whole whole = Example();
  EXPECT_EQ(FieldsToJson(kWholeFields, &whole),
            *ParseJson(R"({"count": 7, "bytes": 5000000000, "flag": true, "outcome": "timed_out",
                "at_ms": 1700000000123, "ttl_seconds": 3, "text": "words", "path": "/a/b",
                "part": {"word": "one"}, "parts": [{"word": "two"}, {"word": "three"}],
                "first_word": "one", "added": "as before"})"));
  whole.ended = whole.at;
  whole.took = std::chrono::milliseconds(12);
  whole.perhaps = Part{"four"};
  const Json json = FieldsToJson(kWholeFields, &whole);
  EXPECT_EQ(json["ended_ms"], 1'700'000'000'123);
  EXPECT_EQ(json["took_ms"], 12);
  EXPECT_EQ(json["perhaps"]["word"], "four");
}

TEST(FieldsTest, WhatIsWrittenIsReadBack) {
  Whole whole = Example();
  whole.ended = whole.at;
  whole.took = std::chrono::milliseconds(0);
  whole.perhaps = Part{"four"};
  Whole back;
  ASSERT_TRUE(ReadFields(kWholeFields, FieldsToJson(kWholeFields, &whole), &back).ok());
  EXPECT_EQ(FieldsToJson(kWholeFields, &back), FieldsToJson(kWholeFields, &whole));
  EXPECT_EQ(back.bytes, whole.bytes);
  EXPECT_EQ(back.outcome, Outcome::kTimedOut);
  EXPECT_EQ(back.ended, whole.at);
  EXPECT_EQ(back.took, std::chrono::milliseconds(0));
  EXPECT_EQ(back.path, "/a/b");
  EXPECT_EQ(back.parts.at(1).word, "three");
}

TEST(FieldsTest, OnlyWhatMayLackMayBeMissing) {
  const Json whole = ExampleJson();
  for (const auto& [key, value] : whole.items()) {
    Json json = whole;
    json.erase(key);
    Whole back;
    EXPECT_EQ(ReadFields(kWholeFields, json, &back).ok(), key == "added") << key;
    EXPECT_EQ(back.added, "as before");
  }
}

TEST(FieldsTest, WhatIsOutOfItsLimitsOrOfAnotherTypeIsRefused) {
  const std::vector<std::pair<const char*, Json>> changes = {
      {"count", 0},       {"count", 10},
      {"count", "7"},     {"count", 1.5},
      {"bytes", -1},      {"bytes", UINT64_MAX},
      {"flag", 1},        {"outcome", "timed out"},
      {"outcome", ""},    {"outcome", 2},
      {"at_ms", -1},      {"ended_ms", "now"},
      {"took_ms", false}, {"text", "more than 8"},
      {"text", 1},        {"path", "relative"},
      {"path", ""},       {"part", "one"},
      {"part", Json()},   {"part", Json::object()},
      {"perhaps", 1},     {"parts", Json::object()},
      {"parts", {1}},     {"parts", {{{"word", "more than 8"}}}},
  };
  for (const auto& [key, value] : changes) {
    Json json = ExampleJson();
    json[key] = value;
    Whole back;
    EXPECT_FALSE(ReadFields(kWholeFields, json, &back).ok()) << key << ": " << value;
  }
  Whole back;
  for (const Json& json : {Json(), Json(1), Json::array(), Json("x")}) {
    EXPECT_FALSE(ReadFields(kWholeFields, json, &back).ok()) << json;
  }
}

TEST(FieldsTest, ANumberThatItsMemberCannotHoldIsRefused) {
  const Field wide = Row<Whole, &Whole::count>("count").To(std::int64_t{1} << 40);
  Whole whole;
  EXPECT_TRUE(StoreNumber(wide, INT_MAX, &whole.count));
  for (const std::int64_t value : {(std::int64_t{1} << 32) + 1, std::int64_t{-1}, INT64_MIN}) {
    EXPECT_FALSE(StoreNumber(wide, value, &whole.count)) << value;
  }
  EXPECT_FALSE(ReadFields({&wide, 1}, Json{{"count", (std::int64_t{1} << 32) + 1}}, &whole).ok());
  const Field flag = Row<Whole, &Whole::flag>("flag");
  EXPECT_FALSE(StoreNumber(flag, 2, &whole.flag));
}

TEST(FieldsTest, AnErrorNamesTheField) {
  const auto message = [](const char* key, const Json& value) {
    Json json = ExampleJson();
    json[key] = value;
    Whole back;
    return ReadFields(kWholeFields, json, &back).error().message;
  };
  EXPECT_EQ(message("count", 0), "malformed message: 'count' is out of range");
  EXPECT_EQ(message("text", 1), "malformed message: 'text' is not a string");
  EXPECT_EQ(message("path", "x"), "'path' is not an absolute path");
  EXPECT_EQ(message("outcome", "x"), "malformed message: unknown outcome");
  EXPECT_EQ(message("parts", 1), "malformed message: 'parts' is missing or of the wrong type");
}

}  // namespace
}  // namespace pyro
