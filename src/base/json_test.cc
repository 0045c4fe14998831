#include "base/json.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

Result<Json> Cbor(const std::string& bytes) {
  return ParseCbor({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

TEST(JsonTest, RefusesWhatIsTooDeepOrTooLong) {
  EXPECT_TRUE(ParseJson("{\"a\": [1, 2]}").ok());
  EXPECT_FALSE(ParseJson(std::string(100000, '[')).ok());
  EXPECT_FALSE(ParseJson("[1,2,3]", 3).ok());
  EXPECT_FALSE(ParseJson("{").ok());
  EXPECT_TRUE(ParseJson("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"").ok());
}

TEST(JsonTest, CborRoundTripKeepsBytesThatAreNotUtf8) {
  const Json value = {
      {"argv", {"a\xff\xfe", ""}}, {"n", -5}, {"b", true}, {"f", 1.5}, {"z", nullptr}};
  auto back = Cbor(ToCbor(value));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, value);
}

TEST(JsonTest, CborRefusesHostileBytes) {
  EXPECT_FALSE(Cbor("").ok());
  EXPECT_FALSE(Cbor(std::string(1 << 20, '\x81')).ok());            // a million nested arrays
  EXPECT_FALSE(Cbor("\x9b\xff\xff\xff\xff\xff\xff\xff\xff").ok());  // array of 2^64 - 1
  EXPECT_FALSE(Cbor("\x7b\xff\xff\xff\xff\xff\xff\xff\xff").ok());  // string of 2^64 - 1
  EXPECT_FALSE(Cbor("\x7f\x61\x61\xff").ok());                      // indefinite string
  EXPECT_FALSE(Cbor("\x01\x01").ok());                              // two items
  EXPECT_FALSE(Cbor("\xa1\x01\x02").ok());                          // key that is no string
}

TEST(JsonTest, PrettyFormSortsKeysAndReplacesBrokenUtf8) {
  EXPECT_EQ(ToPrettyJson(Json{{"b", 1}, {"a", "\xff"}}),
            "{\n  \"a\": \"\xef\xbf\xbd\",\n  \"b\": 1\n}");
}

TEST(JsonTest, NoCharacterIsAnOrderToATerminal) {
  const std::string text = "\x1b \x7f \xc2\x80 \xc2\x9b[2J\xc2\x9f \xc2\xa0 \xc3\xa9";
  const std::string line = ToJsonLine({{text, text}});
  const std::string told = R"("\u001b \u007f \u0080 \u009b[2J\u009f )"
                           "\xc2\xa0 \xc3\xa9\"";
  EXPECT_EQ(line, "{" + told + ":" + told + "}");
  EXPECT_EQ((*ParseJson(line))[text], text);
  EXPECT_EQ((*ParseJson(ToPrettyJson({{text, text}})))[text], text);
  EXPECT_EQ(ToPrettyJson(text), told);
}

TEST(JsonTest, TypedAccessChecksTypeAndRange) {
  const Json object = {{"n", 7}, {"s", "x"}, {"b", false}, {"big", UINT64_MAX}};
  EXPECT_EQ(*GetInt(object, "n", 0, 10), 7);
  EXPECT_FALSE(GetInt(object, "n", 8, 10).ok());
  EXPECT_FALSE(GetInt(object, "big", 0, INT64_MAX).ok());
  EXPECT_FALSE(GetInt(object, "s", 0, 10).ok());
  EXPECT_FALSE(GetString(object, "n").ok());
  EXPECT_FALSE(GetString(Json::array(), "n").ok());
  EXPECT_FALSE(*GetBool(object, "b"));
}

}  // namespace
}  // namespace pyro
