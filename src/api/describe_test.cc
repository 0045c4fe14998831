#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "api/operations.h"
#include "sys/files.h"

namespace pyro::api {
namespace {

TEST(DescribeApiTest, IsWhatTheDocumentsHave) {
  const auto committed = sys::ReadFile(PYRO_DOCS "/api.json", 1 << 20);
  ASSERT_TRUE(committed.ok()) << committed.error().message;
  EXPECT_EQ(ToPrettyJson(DescribeApi()) + "\n", *committed)
      << "make it again: build/bin/pyro __describe --api > docs/api.json";
}

TEST(DescribeApiTest, EveryOperationHasNamesOfItsOwnAndTextsForItsReaders) {
  std::set<std::string_view> names;
  std::set<std::string_view> methods;
  for (const Operation* operation : Operations()) {
    EXPECT_TRUE(names.insert(operation->name).second) << operation->name;
    EXPECT_TRUE(methods.insert(operation->method).second) << operation->method;
    EXPECT_FALSE(std::string_view(operation->sentence).ends_with('.')) << operation->name;
    EXPECT_EQ(operation->tool == nullptr, operation->for_models == nullptr) << operation->name;
    EXPECT_NE(operation->tool == nullptr, operation->no_tool == nullptr) << operation->name;
    EXPECT_EQ(FindOperation(operation->name), operation);
    if (operation->tool != nullptr) {
      EXPECT_EQ(FindTool(operation->tool), operation) << operation->name;
    }
  }
  EXPECT_EQ(FindOperation("task vanish"), nullptr);
}

}  // namespace
}  // namespace pyro::api
