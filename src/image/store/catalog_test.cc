#include "image/store/catalog.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace pyro::image {
namespace {

TEST(Catalog, HoldsThePromisedEnvironmentsInOrder) {
  std::vector<std::string_view> names;
  for (const auto& entry : Catalog()) names.push_back(entry.name);
  EXPECT_EQ(names,
            (std::vector<std::string_view>{"debian:12-base", "debian:12", "debian:12-build",
                                           "debian:13-base", "debian:13", "debian:13-build"}));
  EXPECT_EQ(kCatalogVersion, "2.1.0");
}

bool Has(const CatalogEntry& entry, std::string_view package) {
  return std::find(entry.packages.begin(), entry.packages.end(), package) != entry.packages.end();
}

TEST(Catalog, OnlyTheBasesLackGit) {
  for (const auto& entry : Catalog()) {
    EXPECT_EQ(Has(entry, "git"), !entry.name.ends_with("-base")) << entry.name;
  }
}

TEST(Catalog, WhatBuildsHasCompilersPythonsToolsAndWhatAgentsTryFirst) {
  for (const auto& entry : Catalog()) {
    for (const char* package : {"build-essential", "cmake", "gdb", "python3-venv", "python3-pip",
                                "python-is-python3", "ripgrep", "sudo"}) {
      EXPECT_EQ(Has(entry, package), entry.name.ends_with("-build")) << entry.name << package;
    }
  }
}

TEST(Catalog, BothReleasesHaveTheSamePackages) {
  for (const char* kind : {"-base", "", "-build"}) {
    const auto twelve = FindCatalogEntry("debian:12" + std::string(kind));
    const auto thirteen = FindCatalogEntry("debian:13" + std::string(kind));
    ASSERT_TRUE(twelve && thirteen);
    EXPECT_EQ((*twelve)->packages, (*thirteen)->packages);
    EXPECT_EQ((*twelve)->release, "bookworm");
    EXPECT_EQ((*thirteen)->release, "trixie");
  }
}

TEST(Catalog, ALineOfTheListFitsATerminal) {
  for (const auto& entry : Catalog()) {
    const std::string line =
        std::string(entry.name) + " [not installed] " + std::string(entry.description);
    EXPECT_LE(line.size(), 80U) << line;
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
  const auto found = FindCatalogEntry("debian:11\x1b[31m");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(found.error().message.find('\x1b'), std::string::npos);
  EXPECT_NE(found.error().hint.find("debian:12-build"), std::string::npos);
}

}  // namespace
}  // namespace pyro::image
