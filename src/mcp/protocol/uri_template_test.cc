#include "mcp/protocol/uri_template.h"

#include <gtest/gtest.h>

namespace pyro::mcp {
namespace {

using Values = std::map<std::string, std::string>;

std::optional<Values> Match(const char* text, const char* uri) {
  const auto parsed = UriTemplate::Parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed->Match(uri);
}

TEST(UriTemplateTest, TakesVariablesOut) {
  EXPECT_EQ(Match("test://template/{id}/data", "test://template/123/data"),
            (Values{{"id", "123"}}));
  EXPECT_EQ(Match("p://tasks/{task}/exec/{n}/{stream}", "p://tasks/t_a/exec/7/stdout"),
            (Values{{"task", "t_a"}, {"n", "7"}, {"stream", "stdout"}}));
  EXPECT_EQ(Match("file:///{+path}", "file:///a/b%20c"), (Values{{"path", "a/b c"}}));
  EXPECT_EQ(Match("plain://x", "plain://x"), Values());
}

TEST(UriTemplateTest, DoesNotMatchWhatIsLongerShorterOrBroken) {
  EXPECT_FALSE(Match("test://{id}/data", "test://1/data/more"));
  EXPECT_FALSE(Match("test://{id}/data", "test:///data"));
  EXPECT_FALSE(Match("test://{id}/data", "test://1/2/data"));
  EXPECT_FALSE(Match("test://{id}", "test://%zz"));
  EXPECT_FALSE(Match("test://{id}", "test://%4"));
  EXPECT_FALSE(Match("test://{id}", ""));
  EXPECT_FALSE(Match("test://{id}", ("test://" + std::string(kMaxUriBytes, 'a')).c_str()));
}

TEST(UriTemplateTest, RefusesWhatIsNone) {
  for (const char* text : {"a{", "a}", "a{}", "a{x}{y}", "{x}", "a{x}/{x}", "a{x y}", "a{?q}"}) {
    EXPECT_FALSE(UriTemplate::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace pyro::mcp
