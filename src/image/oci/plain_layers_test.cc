#include "image/oci/plain_layers.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace pyro::image {
namespace {

using archive::Entry;
using Layers = std::vector<std::vector<Entry>>;

Entry Directory(std::string name) {
  return {.type = Entry::Type::kDirectory, .name = std::move(name)};
}
Entry File(std::string name) { return {.type = Entry::Type::kRegular, .name = std::move(name)}; }
Entry HardLink(std::string name, std::string target) {
  return {.type = Entry::Type::kHardLink, .name = std::move(name), .target = std::move(target)};
}
Entry Symlink(std::string name) {
  return {.type = Entry::Type::kSymlink, .name = std::move(name), .target = "/anywhere"};
}
Entry With(Entry entry, std::string attribute, std::string value = "1") {
  entry.attributes.emplace_back(std::move(attribute), std::move(value));
  return entry;
}
Entry OwnedBy(Entry entry, std::int64_t uid, std::int64_t gid) {
  entry.uid = uid;
  entry.gid = gid;
  return entry;
}

bool ArePlain(const Layers& layers) {
  PlainLayers plain;
  for (const auto& layer : layers) {
    plain.BeginLayer();
    for (const Entry& entry : layer) plain.Add(entry);
  }
  return plain.are();
}

TEST(PlainLayersTest, FilesBelowTheirDirectoriesArePlain) {
  EXPECT_TRUE(ArePlain({{}}));
  EXPECT_TRUE(ArePlain({{Directory("./"),
                         Directory("./a/"),
                         Directory("a/b"),
                         File("./a/b/c"),
                         Symlink("a/link"),
                         HardLink("a/again", "./a/b/c"),
                         HardLink("a/link-again", "a/link"),
                         {.type = Entry::Type::kFifo, .name = "pipe"},
                         OwnedBy(With(File("ping"), "security.capability"), 65535, 65535),
                         With(File("noted"), "user.note")}}));
}

TEST(PlainLayersTest, WhatTarWouldDoDifferentlyIsNotPlain) {
  const Layers each_alone = {
      {File("a/file-without-its-directory")},
      {File("a/b"), Directory("a")},
      {Symlink("a"), File("a/b")},
      {File("a"), File("a")},
      {Directory("a"), Directory("./a")},
      {Directory("a"), File("a")},
      {File("../a")},
      {File("/a")},
      {File(".")},
      {HardLink("a", "b"), File("b")},
      {Directory("b"), HardLink("a", "b")},
      {File("b"), HardLink("a", "/b")},
      {{.type = Entry::Type::kDevice, .name = "null"}},
      {OwnedBy(File("a"), 65536, 0)},
      {OwnedBy(File("a"), 0, 65536)},
      {With(File("a"), "trusted.note")},
      {With(File("a"), "security.selinux")},
      {With(File("a"), "user.overlay.opaque")},
      {With(Directory("a"), "user.note")},
      {With(File("a"), "user.note%3D")},
      {With(File("a"), "user.note", "")},
      {File(".wh..wh.plnk")},
      {Directory(".wh.a")},
  };
  for (std::size_t i = 0; i < each_alone.size(); ++i) EXPECT_FALSE(ArePlain({each_alone[i]})) << i;
}

TEST(PlainLayersTest, WhiteoutsArePlainInALayerThatIsAloneInItsGroup) {
  const std::vector<Entry> layer = {Directory("a"), File("a/.wh.b"), File("a/.wh..wh..opq")};
  EXPECT_TRUE(ArePlain({layer}));
  EXPECT_FALSE(ArePlain({{File("below")}, layer}));
  EXPECT_FALSE(ArePlain({layer, {File("above")}}));
}

TEST(PlainLayersTest, LayersMayStateADirectoryAgainAndNothingElse) {
  const std::vector<Entry> low = {Directory("a"), File("a/b")};
  EXPECT_TRUE(ArePlain({low, {Directory("a"), File("a/c"), HardLink("a/d", "a/b")}}));
  EXPECT_FALSE(ArePlain({low, {File("a/c")}}));  // The directory's time would be another.
  EXPECT_FALSE(ArePlain({low, {Directory("a"), File("a/b")}}));
  EXPECT_FALSE(ArePlain({low, {File("a")}}));
  EXPECT_FALSE(ArePlain({low, {Directory("a"), Directory("a/b")}}));
}

TEST(PlainLayersTest, ManySmallLayersAreUmocis) {
  EXPECT_TRUE(ArePlain(Layers(8)));
  EXPECT_FALSE(ArePlain(Layers(9)));
}

}  // namespace
}  // namespace pyro::image
