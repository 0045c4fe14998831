#include "archive/layer.h"

#include <gtest/gtest.h>

#include "archive/names.h"
#include "archive/tar.h"
#include "archive/test_support.h"

namespace pyro::archive {
namespace {

class LayerTest : public ::testing::Test {
 protected:
  Result<Layer> Copy(const std::string& tar) {
    out_ = FdOf("");
    return CopyLayer(FdOf(tar).get(), out_.get(), rules_, operation_);
  }

  // The entries of the layer, as NAME TYPE MODE UID:GID SECONDS CONTENT.
  std::vector<std::string> Entries() {
    std::vector<std::string> entries;
    for (const auto& [entry, content] : ReadTar(ReadBack(out_.get()))) {
      std::string text =
          fmt::format("{} {} {:o} {}:{} {}", entry.name, static_cast<int>(entry.type), entry.mode,
                      entry.uid, entry.gid, entry.seconds);
      if (!entry.target.empty()) text += " -> " + entry.target;
      for (const auto& [name, value] : entry.attributes) {
        text += fmt::format(" {}={}", name, value);
      }
      if (entry.type == Entry::Type::kRegular) text += " ";
      entries.push_back(text + content);
    }
    return entries;
  }

  void ExpectRefused(const TarBuilder& tar) {
    const auto layer = Copy(tar.Finished());
    ASSERT_FALSE(layer.ok());
    EXPECT_EQ(layer.error().code, ErrorCode::kProtocol) << layer.error().message;
  }

  LayerRules rules_;
  Operation operation_;
  sys::UniqueFd out_;
};

constexpr int kDirectory = static_cast<int>(Entry::Type::kDirectory);
constexpr int kRegular = static_cast<int>(Entry::Type::kRegular);
constexpr int kSymlink = static_cast<int>(Entry::Type::kSymlink);
constexpr int kHardLink = static_cast<int>(Entry::Type::kHardLink);
constexpr const char* kMeta = "1000:1000 1610612736";

TEST_F(LayerTest, KeepsModesOwnersTimesLinksAndAttributes) {
  const std::string capability("\1\0\0\2\0\x20\0\0", 8);
  const auto layer = Copy(TarBuilder()
                              .Add('5', "./", "", "", 0755)
                              .Pax({{"SCHILY.xattr.security.capability", capability},
                                    {"SCHILY.xattr.user.note", "hello"}})
                              .Add('0', "./bin/su", "program", "", 04755)
                              .Add('1', "./bin/sudo", "", "./bin/su")
                              .Add('2', "./lib", "", "usr/lib")
                              .Finished());
  ASSERT_TRUE(layer.ok()) << layer.error().message;
  EXPECT_TRUE(layer->left_out.empty());
  const auto entries = Entries();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0], fmt::format("./ {} 755 {}", kDirectory, kMeta));
  EXPECT_EQ(entries[1].substr(0, entries[1].find(kMeta) + std::string(kMeta).size()),
            fmt::format("bin/su {} 4755 {}", kRegular, kMeta));
  EXPECT_NE(entries[1].find(" security.capability=" + capability), std::string::npos);
  EXPECT_NE(entries[1].find(" user.note=hello"), std::string::npos);
  EXPECT_TRUE(entries[1].ends_with(" program")) << entries[1];
  EXPECT_EQ(entries[2], fmt::format("bin/sudo {} 644 {} -> bin/su", kHardLink, kMeta));
  EXPECT_EQ(entries[3].substr(0, 6), fmt::format("lib {} ", kSymlink));
}

TEST_F(LayerTest, AttributesAreInTheFormThatOtherProgramsRead) {
  ASSERT_TRUE(Copy(TarBuilder().Pax({{"SCHILY.xattr.user.a", "b"}}).Add('0', "f").Finished()).ok());
  const std::string tar = ReadBack(out_.get());
  EXPECT_NE(tar.find("SCHILY.xattr.user.a=b"), std::string::npos);
  EXPECT_EQ(tar.find("LIBARCHIVE"), std::string::npos);
}

TEST_F(LayerTest, TimesBefore1970KeepTheirFraction) {
  ASSERT_TRUE(Copy(TarBuilder()
                       .Pax({{"mtime", "-1.5"}})
                       .Add('0', "early")
                       .Pax({{"mtime", "-1"}})
                       .Add('0', "whole")
                       .Finished())
                  .ok());
  const std::string tar = ReadBack(out_.get());
  EXPECT_NE(tar.find(" mtime=-1.5\n"), std::string::npos);
  EXPECT_NE(tar.find(" mtime=-1\n"), std::string::npos);
  const std::vector<std::string> expected = {fmt::format("early {} 644 1000:1000 -2 ", kRegular),
                                             fmt::format("whole {} 644 1000:1000 -1 ", kRegular)};
  EXPECT_EQ(Entries(), expected);
}

TEST_F(LayerTest, EmptiedDirectoriesStayWithTheirStamp) {
  rules_.emptied = {"proc", "var/lib/docker"};
  rules_.stamp = 77;
  ASSERT_TRUE(Copy(TarBuilder()
                       .Add('5', "proc", "", "", 0555)
                       .Add('0', "proc/1/environ", "SECRET=1")
                       .Add('0', "procession", "p")
                       .Add('5', "var/lib/docker", "", "", 0711)
                       .Add('0', "var/lib/docker/a/b", "x")
                       .Add('0', "docker/a", "y")
                       .Finished())
                  .ok());
  const std::vector<std::string> expected = {
      fmt::format("proc/ {} 555 1000:1000 77", kDirectory),
      fmt::format("procession {} 644 {} p", kRegular, kMeta),
      fmt::format("var/lib/docker/ {} 711 1000:1000 77", kDirectory),
      fmt::format("docker/a {} 644 {} y", kRegular, kMeta)};
  EXPECT_EQ(Entries(), expected);
}

TEST_F(LayerTest, EditsFilesAndLeavesThemOut) {
  rules_.edits = {{"etc/hosts", [](const std::string& was) { return was + "more"; }},
                  {"etc/gone", [](const std::string&) { return std::nullopt; }}};
  ASSERT_TRUE(Copy(TarBuilder()
                       .Add('0', "etc/hosts", "hosts ")
                       .Add('0', "etc/gone", "x")
                       .Add('2', "etc/other", "", "hosts")
                       .Finished())
                  .ok());
  const auto entries = Entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0], fmt::format("etc/hosts {} 644 {} hosts more", kRegular, kMeta));
}

TEST_F(LayerTest, TellsWhatALayerCannotHold) {
  const auto layer = Copy(TarBuilder()
                              .Add('3', "srv/null")
                              .Add('0', "a/.wh.b", "x")
                              .Add('0', "a/.wh..wh..opq", "")
                              .Add('1', "kept", "", "a/.wh.b")
                              .Add('0', "a/.whb", "fine")
                              .Finished());
  ASSERT_TRUE(layer.ok());
  EXPECT_EQ(layer->left_out.size(), 4u);
  EXPECT_EQ(layer->left_out.front(), "the device node or socket /srv/null");
  ASSERT_EQ(Entries().size(), 1u);
}

TEST_F(LayerTest, NoHardLinkLeadsToWhatIsLeftOut) {
  rules_.edits = {{"gone", [](const std::string&) { return std::nullopt; }}};
  const auto layer = Copy(TarBuilder()
                              .Add('3', "null")
                              .Add('1', "second", "", "null")
                              .Add('1', "third", "", "second")
                              .Add('0', "gone", "x")
                              .Add('1', "other", "", "gone")
                              .Add('0', "kept", "x")
                              .Add('1', "name", "", "kept")
                              .Finished());
  ASSERT_TRUE(layer.ok());
  EXPECT_EQ(layer->left_out.size(), 4u);
  EXPECT_EQ(layer->left_out[1], "/second: it is a hard link to a file that is left out");
  EXPECT_EQ(Entries().size(), 2u);
}

TEST_F(LayerTest, TheListOfWhatIsLeftOutIsBounded) {
  TarBuilder tar;
  for (int i = 0; i < 250; ++i) tar.Add('3', fmt::format("device{}", i));
  const auto layer = Copy(tar.Finished());
  ASSERT_TRUE(layer.ok());
  EXPECT_EQ(layer->left_out.size(), 101u);
  EXPECT_EQ(layer->left_out.back(), "150 more");
}

TEST_F(LayerTest, RefusesWhatLeadsOutside) {
  ExpectRefused(TarBuilder().Add('0', "../up", "x"));
  ExpectRefused(TarBuilder().Add('0', "/absolute", "x"));
  ExpectRefused(TarBuilder().Add('0', "a/../../b", "x"));
  ExpectRefused(TarBuilder().Add('2', "link", "", "/etc").Add('0', "link/passwd", "x"));
  ExpectRefused(TarBuilder().Add('2', "link", "", "/etc/passwd").Add('0', "link", "x"));
  ExpectRefused(TarBuilder().Add('2', "link", "", "/etc").Add('1', "other", "", "link/shadow"));
  ExpectRefused(TarBuilder().Add('1', "link", "", "../../etc/shadow"));
  ExpectRefused(TarBuilder().Add('0', "", "x"));
  ExpectRefused(TarBuilder().Add('0', std::string(50, '/'), "x"));
}

TEST_F(LayerTest, RefusesAStreamThatIsCutOff) {
  const auto layer = Copy(TarBuilder().Add('0', "a", "content").Unfinished());
  ASSERT_FALSE(layer.ok());
  EXPECT_EQ(layer.error().code, ErrorCode::kProtocol);
}

TEST_F(LayerTest, HolesOfTerabytesAreRefused) {
  TarBuilder tar;
  tar.Pax({{"GNU.sparse.major", "1"},
           {"GNU.sparse.minor", "0"},
           {"GNU.sparse.name", "huge"},
           {"GNU.sparse.realsize", "4398046511104"}});
  tar.Add('0', "GNUSparseFile.0/huge",
          std::string("1\n4398046511104\n0\n") + std::string(512 - 18, '\0'));
  const auto layer = Copy(tar.Finished());
  ASSERT_FALSE(layer.ok());
  EXPECT_EQ(layer.error().code, ErrorCode::kLimit) << layer.error().message;
}

TEST_F(LayerTest, LargeHolesStayHolesAndSmallOnesAreWritten) {
  const auto sparse = [](std::int64_t hole) {
    // The last 512 bytes are data.
    std::string map = fmt::format("1\n{}\n512\n", hole);
    map.resize(512);
    TarBuilder tar;
    tar.Pax({{"GNU.sparse.major", "1"},
             {"GNU.sparse.minor", "0"},
             {"GNU.sparse.name", "disk"},
             {"GNU.sparse.realsize", fmt::format("{}", hole + 512)}});
    tar.Add('0', "GNUSparseFile.0/disk", map + std::string(512, 'x'));
    return tar.Finished();
  };
  for (const bool large : {true, false}) {
    const std::int64_t hole = large ? kMinHoles : kMinHoles - 512;
    const auto layer = Copy(sparse(hole));
    ASSERT_TRUE(layer.ok()) << layer.error().message;
    const std::string tar = ReadBack(out_.get());
    EXPECT_EQ(tar.size() < 100'000, large) << tar.size();
    const sys::UniqueFd in = FdOf(tar);
    Meter meter(operation_);
    FdSource source(in.get(), meter);
    const auto reader = TarReader::Create(source, meter, ErrorCode::kProtocol).value();
    const auto entry = reader->Next().value();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->name, "disk");
    EXPECT_EQ(entry->size, hole + 512);
    EXPECT_EQ(entry->data.has_value(), large);
    std::string bytes;
    std::int64_t first = -1;
    while (const auto piece = reader->Read().value()) {
      const auto at = piece->bytes.find('x');
      if (first < 0 && at != piece->bytes.npos) {
        first = piece->offset + static_cast<std::int64_t>(at);
      }
      if (at != piece->bytes.npos) bytes += piece->bytes.substr(at);
    }
    EXPECT_EQ(first, hole);
    EXPECT_EQ(bytes, std::string(512, 'x'));
  }
}

TEST_F(LayerTest, ATreeThatIsTooDeepIsToldWithAWayOut) {
  std::string deep;
  for (std::size_t i = 0; i < kMaxDepth; ++i) deep += "d/";
  const auto layer =
      Copy(TarBuilder().Pax({{"path", deep + "file"}}).Add('0', "f", "x").Finished());
  ASSERT_FALSE(layer.ok());
  EXPECT_EQ(layer.error().code, ErrorCode::kLimit) << layer.error().message;
  EXPECT_NE(layer.error().message.find("more than 500 directories"), std::string::npos);
  EXPECT_FALSE(layer.error().hint.empty());
}

TEST_F(LayerTest, TheLimitOfBytesHolds) {
  operation_.max_bytes = 4096;
  const auto layer = Copy(TarBuilder().Add('0', "a", std::string(10'000, 'x')).Finished());
  ASSERT_FALSE(layer.ok());
  EXPECT_EQ(layer.error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace pyro::archive
