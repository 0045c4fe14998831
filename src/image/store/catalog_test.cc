#include "image/store/catalog.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace pyro::image {
namespace {

TEST(Catalog, HoldsTheThreePromisedEnvironmentsInOrder) {
  std::vector<std::string_view> names;
  for (const auto& entry : Catalog()) names.push_back(entry.name);
  EXPECT_EQ(names,
            (std::vector<std::string_view>{"debian:12-base", "debian:12", "debian:12-build"}));
  EXPECT_EQ(kCatalogVersion, "2.1.0");
}

TEST(Catalog, OnlyTheBaseLacksGit) {
  for (const auto& entry : Catalog()) {
    const bool has_git =
        std::find(entry.packages.begin(), entry.packages.end(), "git") != entry.packages.end();
    EXPECT_EQ(has_git, entry.name != "debian:12-base") << entry.name;
    EXPECT_FALSE(entry.description.empty());
  }
}

TEST(Catalog, DirectoryNamesAreDistinctAndSafe) {
  std::set<std::string> names;
  for (const auto& entry : Catalog()) {
    const std::string name = DirectoryName(entry.name);
    EXPECT_EQ(name.find_first_of("/:"), std::string::npos);
    EXPECT_TRUE(names.insert(name).second);
  }
}

TEST(Catalog, UnknownNameNamesTheChoices) {
  const auto found = FindCatalogEntry("debian:13\x1b[31m");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(found.error().message.find('\x1b'), std::string::npos);
  EXPECT_NE(found.error().hint.find("debian:12-build"), std::string::npos);
}

}  // namespace
}  // namespace pyro::image
