#include "image/oci/layer_plan.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace pyro::image {
namespace {

using archive::Entry;
using Names = std::set<std::string>;

Entry Directory(std::string name) {
  return {.type = Entry::Type::kDirectory, .name = std::move(name)};
}
Entry File(std::string name) { return {.type = Entry::Type::kRegular, .name = std::move(name)}; }
Entry Symlink(std::string name) {
  return {.type = Entry::Type::kSymlink, .name = std::move(name), .target = "elsewhere"};
}
Entry HardLink(std::string name, std::string target) {
  return {.type = Entry::Type::kHardLink, .name = std::move(name), .target = std::move(target)};
}

using Layers = std::vector<std::vector<Entry>>;

std::optional<LayerMarks> MarksOf(const Layers& layers, std::string* why_not = nullptr) {
  GroupNames names;
  for (const auto& layer : layers) {
    names.BeginLayer();
    for (const Entry& entry : layer) names.Add(entry);
  }
  auto marks = names.Finish();
  if (why_not != nullptr) *why_not = names.why_not();
  return marks;
}

std::string WhyNot(const Layers& layers) {
  std::string why_not;
  EXPECT_FALSE(MarksOf(layers, &why_not));
  return why_not;
}

TEST(LayerPlanTest, GroupsAreOfTheLayersFromTheBottom) {
  constexpr std::uint64_t kSmall = kGroupBytes / 4;
  EXPECT_TRUE(GroupLayers({}).empty());
  EXPECT_EQ(GroupLayers({0}), (std::vector<LayerGroup>{{0, 1}}));
  EXPECT_EQ(GroupLayers({kSmall, kSmall, kSmall}), (std::vector<LayerGroup>{{0, 3}}));
  EXPECT_EQ(GroupLayers({kSmall, kGroupBytes, kGroupBytes, kSmall}),
            (std::vector<LayerGroup>{{0, 2}, {2, 3}, {3, 4}}));
  EXPECT_EQ(GroupLayers(std::vector<std::uint64_t>(500, 1)), (std::vector<LayerGroup>{{0, 500}}));
}

TEST(LayerPlanTest, ThereAreAtMostAsManyGroupsAsAGuestMayHaveDisks) {
  const auto groups = GroupLayers(std::vector<std::uint64_t>(500, kGroupBytes));
  ASSERT_EQ(groups.size(), kMaxGroups);
  EXPECT_EQ(groups[0], (LayerGroup{0, 1}));
  EXPECT_EQ(groups.back(), (LayerGroup{kMaxGroups - 1, 500}));
}

TEST(LayerPlanTest, ImagesWithTheSameLowerLayersHaveTheSameLowerGroups) {
  const std::vector<std::uint64_t> shared = {10, kGroupBytes, 3 * kGroupBytes, 7, kGroupBytes};
  auto one = shared;
  auto other = shared;
  one.push_back(kGroupBytes);
  other.insert(other.end(), {1, 2, 3});
  for (const auto& sizes : {one, other}) {
    const auto groups = GroupLayers(sizes);
    ASSERT_EQ(groups.size(), 4U);
    EXPECT_EQ(groups[0], (LayerGroup{0, 2}));
    EXPECT_EQ(groups[1], (LayerGroup{2, 3}));
    EXPECT_EQ(groups[2], (LayerGroup{3, 5}));
  }
}

TEST(LayerPlanTest, PathsAreThoseOfTheImage) {
  EXPECT_EQ(LayerPath("./a//b/"), "a/b");
  EXPECT_EQ(LayerPath("/a"), "a");
  EXPECT_EQ(LayerPath("./"), "");
  EXPECT_EQ(LayerPath("..a/b.."), "..a/b..");
  EXPECT_FALSE(LayerPath("a/../b"));
}

TEST(LayerPlanTest, FilesInStatedDirectoriesNeedNoMarks) {
  const auto marks = MarksOf({{Directory("./"), Directory("a"), File("a/f"), HardLink("a/g", "a/f"),
                               Symlink("a/l"), Directory("a/b"), File("top")}});
  ASSERT_TRUE(marks);
  EXPECT_TRUE(marks->empty());
}

TEST(LayerPlanTest, WhatALayerRemovesIsMarkedInItsDirectory) {
  const auto marks = MarksOf({{Directory("a"), File("a/.wh.gone"), File(".wh.top")}});
  ASSERT_TRUE(marks);
  EXPECT_EQ(marks->whiteouts, (Names{"a/gone", "top"}));
  EXPECT_EQ(marks->holders, Names{"a"});
  EXPECT_TRUE(marks->opaque.empty());
}

TEST(LayerPlanTest, ADirectoryThatReplacesSomethingIsOpaque) {
  const auto opaque = MarksOf({{Directory("a"), File("a/new"), File("a/.wh..wh..opq")}});
  ASSERT_TRUE(opaque);
  EXPECT_EQ(opaque->opaque, Names{"a"});
  // A whiteout beside what the same layer has there, in either order.
  for (const Layers& layers :
       {Layers{{File(".wh.a"), Directory("a")}}, Layers{{Directory("a"), File(".wh.a")}},
        Layers{{File(".wh.a")}, {Directory("a")}}, Layers{{File("a")}, {Directory("a")}}}) {
    const auto marks = MarksOf(layers);
    ASSERT_TRUE(marks);
    EXPECT_EQ(marks->opaque, Names{"a"});
    EXPECT_TRUE(marks->whiteouts.empty());
  }
}

TEST(LayerPlanTest, WhatLiesInSomethingReplacedIsForgotten) {
  const auto marks =
      MarksOf({{Directory("a"), Directory("a/b"), File("a/b/.wh.x"), File("a/.wh.y")},
               {File("a")},
               {File(".wh.a")}});
  ASSERT_TRUE(marks);
  EXPECT_EQ(marks->whiteouts, Names{"a"});
  EXPECT_TRUE(marks->holders.empty());
  EXPECT_TRUE(marks->opaque.empty());
}

TEST(LayerPlanTest, AFileThatComesBackHidesWithoutAMark) {
  const auto marks = MarksOf({{File(".wh.f")}, {File("f")}});
  ASSERT_TRUE(marks);
  EXPECT_TRUE(marks->empty());
}

TEST(LayerPlanTest, AGroupThatDependsOnFilesBelowItIsNoDisk) {
  EXPECT_EQ(WhyNot({{File("a/f")}}), "the directory '/a'");
  EXPECT_EQ(WhyNot({{Directory("a"), File("a/b/f")}}), "the directory '/a/b'");
  EXPECT_EQ(WhyNot({{File("a/.wh.f")}}), "the directory '/a'");
  EXPECT_EQ(WhyNot({{Symlink("lib"), File("lib/f")}}), "a file below '/lib'");
  EXPECT_EQ(WhyNot({{HardLink("b", "a")}}), "the target of the hard link '/b'");
  EXPECT_EQ(WhyNot({{Directory("a"), HardLink("b", "a")}}), "the target of the hard link '/b'");
  EXPECT_EQ(WhyNot({{File("a")}, {File(".wh.a")}, {HardLink("b", "a")}}),
            "the target of the hard link '/b'");
  EXPECT_FALSE(WhyNot({{File(".wh..wh..opq")}}).empty());
  EXPECT_FALSE(WhyNot({{Directory("a"), File("a/.wh..wh.plnk")}}).empty());
  EXPECT_FALSE(WhyNot({{Directory("a"), File("a/.wh.")}}).empty());
  EXPECT_FALSE(WhyNot({{File("a/../b")}}).empty());
  EXPECT_FALSE(WhyNot({{File(".")}}).empty());
}

TEST(LayerPlanTest, ADirectoryMayBeStatedAfterItsFilesAndAfterItsRemoval) {
  EXPECT_TRUE(MarksOf({{File("a/f"), Directory("a")}}));
  EXPECT_EQ(WhyNot({{Directory("a")}, {File(".wh.a")}, {File("a/f")}}), "the directory '/a'");
}

}  // namespace
}  // namespace pyro::image
