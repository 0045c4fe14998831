#include "archive/patterns.h"

#include <gtest/gtest.h>

namespace pyro::archive {
namespace {

constexpr auto kDirectory = Patterns::Kind::kDirectory;
constexpr auto kOther = Patterns::Kind::kOther;

bool Matches(const std::string& pattern, std::string_view name, Patterns::Kind kind = kOther) {
  const auto patterns = Patterns::Parse({pattern});
  EXPECT_TRUE(patterns.ok()) << pattern;
  return patterns.ok() && patterns->Match(name, kind);
}

TEST(PatternsTest, APatternWithoutASlashMatchesANameAtAnyDepth) {
  for (const char* name : {"a.o", "x/a.o", "x/y/z/.o"}) EXPECT_TRUE(Matches("*.o", name)) << name;
  EXPECT_FALSE(Matches("*.o", "a.o/b"));
  EXPECT_FALSE(Matches("*.o", "a.oo"));
  EXPECT_TRUE(Matches("node_modules", "a/node_modules", kDirectory));
  EXPECT_TRUE(Matches(".*", "x/.hidden"));
  EXPECT_TRUE(Matches("*", ".hidden"));
}

TEST(PatternsTest, OneWithASlashMatchesThePathFromTheTop) {
  EXPECT_TRUE(Matches("build/*.o", "build/a.o"));
  EXPECT_FALSE(Matches("build/*.o", "x/build/a.o"));
  EXPECT_FALSE(Matches("build/*.o", "build/x/a.o")) << "a star matches no slash";
  EXPECT_TRUE(Matches("/a", "a"));
  EXPECT_FALSE(Matches("/a", "x/a"));
  EXPECT_TRUE(Matches("./a", "a"));
  EXPECT_FALSE(Matches("./a", "x/a"));
}

TEST(PatternsTest, TwoStarsMatchAnyNumberOfDirectories) {
  for (const char* name : {"a", "x/a", "x/y/z/a"}) EXPECT_TRUE(Matches("**/a", name)) << name;
  for (const char* name : {"x/a", "x/y/a", "x/y/z/a"}) EXPECT_TRUE(Matches("x/**/a", name)) << name;
  EXPECT_FALSE(Matches("x/**/a", "y/x/a"));
  EXPECT_TRUE(Matches("x/**", "x/y/z"));
  EXPECT_TRUE(Matches("x/**/y/**/z", "x/a/y/b/y/c/d/z"));
  EXPECT_FALSE(Matches("x/**/y/**/z", "x/a/b/z"));
  EXPECT_TRUE(Matches("a**b", "a--b")) << "within a name two stars are one";
}

TEST(PatternsTest, ASlashAtTheEndMeansDirectoriesAlone) {
  EXPECT_TRUE(Matches("build/", "build", kDirectory));
  EXPECT_TRUE(Matches("build/", "x/build", kDirectory));
  EXPECT_FALSE(Matches("build/", "build", kOther));
}

TEST(PatternsTest, CharactersAreThoseOfUtf8) {
  EXPECT_TRUE(Matches("caf?", "caf\xc3\xa9"));
  EXPECT_TRUE(Matches("caf[\xc3\xa0-\xc3\xaf]", "caf\xc3\xa9"));
  EXPECT_FALSE(Matches("caf[a-z]", "caf\xc3\xa9"));
  EXPECT_TRUE(Matches("x?y", "x\xffy")) << "a byte that is no character counts as one";
  EXPECT_TRUE(Matches("x\xffy", "x\xffy"));
}

TEST(PatternsTest, SetsAndEscapes) {
  EXPECT_TRUE(Matches("[abc]", "b"));
  EXPECT_FALSE(Matches("[abc]", "d"));
  EXPECT_TRUE(Matches("[!abc]", "d"));
  EXPECT_TRUE(Matches("[^abc]", "d"));
  EXPECT_FALSE(Matches("[!a-c]", "b"));
  EXPECT_TRUE(Matches("[]x]", "]"));
  EXPECT_TRUE(Matches("[!]x]", "y"));
  EXPECT_TRUE(Matches("[a-]", "-"));
  EXPECT_TRUE(Matches("[\\]]", "]"));
  EXPECT_TRUE(Matches("\\*", "*"));
  EXPECT_FALSE(Matches("\\*", "a"));
  EXPECT_TRUE(Matches("\\!x", "!x"));
  EXPECT_TRUE(Matches("a\\\\b", "a\\b"));
}

TEST(PatternsTest, WhatIsBelowAMatchIsFoundByItsParents) {
  const auto patterns = Patterns::Parse({"node_modules/", "/build"});
  ASSERT_TRUE(patterns.ok());
  EXPECT_TRUE(patterns->MatchWithParents("a/node_modules/b/c", kOther));
  EXPECT_TRUE(patterns->MatchWithParents("build/x", kOther));
  EXPECT_FALSE(patterns->MatchWithParents("a/build/x", kOther));
  EXPECT_FALSE(patterns->MatchWithParents("a/node_modules", kOther));
  EXPECT_FALSE(Patterns().MatchWithParents("a", kOther));
}

TEST(PatternsTest, WhatCannotBeMeantIsRefused) {
  for (const std::string text :
       {"", "/", ".", "./", "!a", "[a", "a/[!]", "x\\", "../a", "a/../b", "a/[b/c]"}) {
    const auto patterns = Patterns::Parse({"fine", text});
    ASSERT_FALSE(patterns.ok()) << text;
    EXPECT_EQ(patterns.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(patterns.error().message.find("'" + text + "'"), std::string::npos)
        << patterns.error().message;
  }
  EXPECT_FALSE(Patterns::Parse({std::string("a\0b", 3)}).ok());
  EXPECT_FALSE(Patterns::Parse({std::string(5000, 'a')}).ok());
  EXPECT_EQ(Patterns::Parse(std::vector<std::string>(1001, "a")).error().code, ErrorCode::kLimit);
}

TEST(PatternsTest, ManyStarsTakeNoLongTime) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(Matches(pattern + "b", std::string(4000, 'a')));
  std::string path = "x";
  std::string deep = "**";
  for (int i = 0; i < 400; ++i) path += "/x";
  for (int i = 0; i < 100; ++i) deep += "/x/**";
  EXPECT_FALSE(Matches(deep + "/y", path));
}

}  // namespace
}  // namespace pyro::archive
