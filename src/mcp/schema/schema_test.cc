#include "mcp/schema/schema.h"

#include <gtest/gtest.h>

#include <string>

namespace pyro::mcp {
namespace {

Schema Compiled(const char* text) {
  auto schema = Schema::Compile(Json::parse(text));
  EXPECT_TRUE(schema.ok()) << text << ": " << (schema.ok() ? "" : schema.error().message);
  return *std::move(schema);
}

std::string Check(const char* schema, const char* value) {
  return ViolationsText(Compiled(schema).Validate(Json::parse(value)));
}

// What the reference implementation in tests/mcp/test_schema.py agrees with.
TEST(SchemaTest, SaysWhatDoesNotFitAndWhere) {
  EXPECT_EQ(
      Check(R"({"properties": {"t": {"type": "integer", "maximum": 600}}})", R"({"t": 6000})"),
      "t: must be <= 600, got 6000");
  EXPECT_EQ(Check(R"({"required": ["id"]})", "{}"), "'id' is required");
  EXPECT_EQ(Check(R"({"additionalProperties": false})", R"({"x": 1})"),
            "'x' is not a known property");
  EXPECT_EQ(Check(R"({"items": {"type": "string"}})", R"(["a", 1])"),
            "[1]: must be of type string, got number");
  EXPECT_EQ(Check(R"({"properties": {"a": {"items": {"enum": ["x"]}}}})", R"({"a": ["y"]})"),
            R"(a[0]: must be one of ["x"], got "y")");
}

TEST(SchemaTest, AWholeNumberIsAnIntegerHoweverItIsWritten) {
  EXPECT_EQ(Check(R"({"type": "integer"})", "3.0"), "");
  EXPECT_NE(Check(R"({"type": "integer"})", "3.5"), "");
  EXPECT_EQ(Check(R"({"const": 3})", "3.0"), "");
  EXPECT_NE(Check(R"({"type": "integer"})", "true"), "");
  EXPECT_EQ(Check(R"({"maximum": 9007199254740993})", "9007199254740993"), "");
  EXPECT_NE(Check(R"({"maximum": 9007199254740992})", "9007199254740993"), "");
}

TEST(SchemaTest, ANumberInQuotesIsSaidToBeOne) {
  EXPECT_EQ(Check(R"({"type": "integer"})", R"("60")"),
            R"(must be of type integer, got "60"; leave out the quotes)");
  EXPECT_EQ(Check(R"({"type": "boolean"})", R"("true")"),
            R"(must be of type boolean, got "true"; leave out the quotes)");
  EXPECT_EQ(Check(R"({"type": "integer"})", R"("6.5")"), R"(must be of type integer, got "6.5")");
  EXPECT_EQ(Check(R"({"type": "integer"})", R"("x")"), R"(must be of type integer, got "x")");
}

TEST(SchemaTest, LengthsAreInCharacters) {
  EXPECT_EQ(Check(R"({"maxLength": 2})", R"("äö")"), "");
  EXPECT_NE(Check(R"({"maxLength": 2})", R"("äöü")"), "");
  EXPECT_EQ(Check(R"({"minLength": 1})", R"("")"), "must not be empty");
  EXPECT_EQ(Check(R"({"pattern": "^.{2}$"})", R"("äö")"), "");
  EXPECT_NE(Check(R"({"pattern": "^.{2}$"})", R"("ä")"), "");
}

TEST(SchemaTest, ReferencesMayGoInCircles) {
  const char* tree = R"({"$defs": {"node": {"type": "object",
      "properties": {"next": {"$ref": "#/$defs/node"}}, "additionalProperties": false}},
      "$ref": "#/$defs/node"})";
  EXPECT_EQ(Check(tree, R"({"next": {"next": {}}})"), "");
  EXPECT_EQ(Check(tree, R"({"next": {"next": {"x": 1}}})"),
            "next.next: 'x' is not a known property");
  EXPECT_NE(Check(R"({"$ref": "#"})", "1"), "") << "an endless one fits nothing";
}

TEST(SchemaTest, CombinationsAndConditions) {
  const char* either = R"({"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1}]})";
  EXPECT_EQ(Check(either, R"("ls")"), "");
  EXPECT_EQ(Check(either, R"(["ls"])"), "");
  EXPECT_EQ(Check(either, "[]"), "must have at least 1 items, got 0");
  EXPECT_EQ(Check(either, "7"), "must be of type string or array, got number");
  EXPECT_EQ(Check(R"({"anyOf": [{"minLength": 1}, {"type": "array"}]})", R"("")"),
            "fits none of the alternatives");
  EXPECT_EQ(Check(R"({"oneOf": [true, true]})", "1"), "fits more than one of the alternatives");
  EXPECT_EQ(Check(R"({"not": {"type": "null"}})", "null"), "is what it must not be");
  const char* when = R"({"if": {"required": ["a"]}, "then": {"required": ["b"]},
                         "else": {"required": ["c"]}})";
  EXPECT_EQ(Check(when, R"({"a": 1})"), "'b' is required");
  EXPECT_EQ(Check(when, "{}"), "'c' is required");
}

TEST(SchemaTest, RefusesWhatItWouldHaveToIgnore) {
  for (const char* text : {R"({"prefixItems": []})",
                           R"({"properties": {"a": {"multipleOf": 2}}})",
                           R"({"$ref": "#/$defs/none"})",
                           R"({"$ref": "other.json"})",
                           R"({"$ref": "#anchor"})",
                           R"({"$ref": "#/a~2"})",
                           R"({"type": "int"})",
                           R"({"type": []})",
                           R"({"pattern": "("})",
                           R"({"pattern": "(a)\\1"})",
                           R"({"minLength": -1})",
                           R"({"minLength": 1.5})",
                           R"({"maximum": "1"})",
                           R"({"anyOf": []})",
                           R"({"required": [1]})",
                           R"({"properties": 1})",
                           "3",
                           "[]",
                           R"({"items": [{}]})",
                           R"({"$ref": "#/items/x", "items": [1]})"}) {
    EXPECT_FALSE(Schema::Compile(Json::parse(text)).ok()) << text;
  }
  EXPECT_FALSE(Schema::Compile(Json::parse(R"({"unevaluatedProperties": false})")).ok());
}

TEST(SchemaTest, NoValueTakesForEver) {
  // Each level asks for both alternatives of the level below.
  std::string deep = "{}";
  for (int i = 0; i < 30; ++i) deep = R"({"a": )" + deep + "}";
  const char* doubling = R"({"$defs": {"n": {"anyOf": [
      {"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["x"]},
      {"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["y"]}]}}, "$ref": "#/$defs/n"})";
  EXPECT_NE(Check(doubling, deep.c_str()), "");
  const std::string text(kMaxPatternInput, 'a');
  EXPECT_NE(Check(R"({"pattern": "^(a+)+$"})", ("\"" + text + "b\"").c_str()), "");
}

TEST(SchemaTest, ReportsAFewViolationsNotAll) {
  std::string many = "[1";
  for (int i = 0; i < 100; ++i) many += ",1";
  const auto found = Compiled(R"({"items": {"type": "string"}})").Validate(Json::parse(many + "]"));
  EXPECT_EQ(found.size(), kMaxViolations);
}

}  // namespace
}  // namespace pyro::mcp
