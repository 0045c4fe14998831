// Unpacks the same layers with the real GNU tar and the real umoci, and compares the trees.

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "image/oci/layer_files.h"
#include "image/oci/plain_layers.h"
#include "image/store/digest.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

struct File {
  std::string name;
  unsigned type = AE_IFREG;
  mode_t mode = 0644;
  int uid = 0;
  int gid = 0;
  std::string content;  // Or what a link names.
  time_t seconds = 1'000'000'000;
  long nanoseconds = 0;
  std::vector<std::pair<const char*, std::string>> attributes = {};
};

constexpr unsigned kHardLinkType = 1;

std::string TarOf(const std::vector<File>& files, bool gzip = false) {
  const std::unique_ptr<struct ::archive, decltype(&archive_write_free)> tar(archive_write_new(),
                                                                             &archive_write_free);
  std::string bytes(4 << 20, '\0');
  std::size_t used = 0;
  if (gzip) archive_write_add_filter_gzip(tar.get());
  archive_write_set_format_pax(tar.get());
  archive_write_set_options(tar.get(), "hdrcharset=BINARY");
  archive_write_open_memory(tar.get(), bytes.data(), bytes.size(), &used);
  for (const File& file : files) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> owned(archive_entry_new(),
                                                                              &archive_entry_free);
    archive_entry* const entry = owned.get();
    archive_entry_set_pathname(entry, file.name.c_str());
    archive_entry_set_perm(entry, file.mode);
    archive_entry_set_uid(entry, file.uid);
    archive_entry_set_gid(entry, file.gid);
    archive_entry_set_mtime(entry, file.seconds, file.nanoseconds);
    const bool has_content = file.type == AE_IFREG;
    archive_entry_set_size(entry, has_content ? static_cast<la_int64_t>(file.content.size()) : 0);
    archive_entry_set_filetype(entry, file.type == kHardLinkType ? AE_IFREG : file.type);
    if (file.type == kHardLinkType) archive_entry_set_hardlink(entry, file.content.c_str());
    if (file.type == AE_IFLNK) archive_entry_set_symlink(entry, file.content.c_str());
    for (const auto& [name, value] : file.attributes) {
      archive_entry_xattr_add_entry(entry, name, value.data(), value.size());
    }
    EXPECT_EQ(archive_write_header(tar.get(), entry), ARCHIVE_OK)
        << archive_error_string(tar.get());
    if (has_content) archive_write_data(tar.get(), file.content.data(), file.content.size());
  }
  archive_write_close(tar.get());
  bytes.resize(used);
  return bytes;
}

class RealPlainLayers : public testing::Test {
 protected:
  fs::path BlobPath(const std::string& digits) const { return Layout() / "blobs/sha256" / digits; }
  fs::path Layout() const { return directory_.path() / "layout"; }

  Json Blob(const std::string& bytes, const std::string& type) const {
    const std::string digits = Sha256Hex(bytes);
    std::ofstream(BlobPath(digits)) << bytes;
    return {{"mediaType", "application/vnd.oci.image." + type},
            {"digest", "sha256:" + digits},
            {"size", bytes.size()}};
  }

  // Both ways. The layers must be plain.
  void Unpack(const std::vector<std::vector<File>>& layers) {
    auto root = RootNamespace::Create({});
    ASSERT_TRUE(root) << root.error().message;
    fs::create_directories(Layout() / "blobs/sha256");
    std::vector<fs::path> tars;
    PlainLayers plain;
    Json listed = Json::array();
    Json ids = Json::array();
    for (const auto& layer : layers) {
      listed.push_back(Blob(TarOf(layer), "layer.v1.tar"));
      const std::string digest = listed.back()["digest"];
      ids.push_back(digest);
      plain.BeginLayer();
      tars.push_back(directory_.path() / fmt::format("{}.tar", tars.size()));
      const fs::path compressed = directory_.path() / "layer.tar.gz";
      std::ofstream(compressed) << TarOf(layer, true);
      const auto tar = DecompressLayer(
          compressed, tars.back(), [&plain](const archive::Entry& entry) { plain.Add(entry); }, {});
      ASSERT_TRUE(tar) << tar.error().message;
      EXPECT_EQ("sha256:" + tar->sha256, digest);
    }
    ASSERT_TRUE(plain.are());
    const Json config = {{"architecture", "amd64"},
                         {"os", "linux"},
                         {"config", Json::object()},
                         {"rootfs", {{"type", "layers"}, {"diff_ids", ids}}}};
    const Json manifest = {{"schemaVersion", 2},
                           {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                           {"config", Blob(config.dump(), "config.v1+json")},
                           {"layers", listed}};
    Json entry = Blob(manifest.dump(), "manifest.v1+json");
    entry["annotations"] = {{"org.opencontainers.image.ref.name", "t"}};
    std::ofstream(Layout() / "index.json")
        << Json{{"schemaVersion", 2}, {"manifests", {entry}}}.dump();
    std::ofstream(Layout() / "oci-layout") << R"({"imageLayoutVersion": "1.0.0"})";
    const auto done = root->Run({"umoci", "raw", "unpack", "--image", "layout:t", "by-umoci"},
                                directory_.path(), {}, {}, {});
    ASSERT_TRUE(done && done->status.success()) << done->tail;
    const auto unpacked =
        UnpackPlainLayers(*root, tars, directory_.path() / "by-tar", directory_.path(), {});
    ASSERT_TRUE(unpacked) << unpacked.error().message;
    ASSERT_TRUE(*unpacked);
    by_umoci_ = Listing(*root, "by-umoci");
    by_tar_ = Listing(*root, "by-tar");
    ASSERT_TRUE(root->RemoveTree(directory_.path() / "by-umoci"));
    ASSERT_TRUE(root->RemoveTree(directory_.path() / "by-tar"));
  }

  // Kind, mode, owners, time, size, links, target, content and attributes of each file.
  std::string Listing(const RootNamespace& root, const std::string& tree) const {
    std::string listing;
    const std::string script =
        "cd \"$1\" && find . -mindepth 1 -printf '%P %y %m %U %G %T@ %n %l ' \\( -type f -printf "
        "'%s' -exec md5sum {} \\; -o -printf '\\n' \\) | sort && find . -mindepth 1 | sort | "
        "xargs -d '\\n' getfattr --no-dereference --match=- --encoding=hex --dump";
    const auto listed = root.Run({"sh", "-c", script, "sh", tree}, directory_.path(), {}, {},
                                 [&](std::string_view line) { listing.append(line) += '\n'; });
    EXPECT_TRUE(listed && listed->status.success());
    return listing;
  }

  sys::TestDirectory directory_;
  std::string by_umoci_;
  std::string by_tar_;
};

TEST_F(RealPlainLayers, TarMakesTheTreeThatUmociMakes) {
  const std::string capability("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  const std::string deep = "d/" + std::string(120, 'x') + "/" + std::string(120, 'y');
  Unpack({{{"d/", AE_IFDIR, 0711, 3, 4, "", 1'400'000'000, 5},
           {"d/" + std::string(120, 'x'), AE_IFDIR, 0755},
           {deep, AE_IFDIR, 0700, 65535, 65535},
           {deep + "/f", AE_IFREG, 0640, 1000, 50, "deep"},
           {"sudo", AE_IFREG, 06755, 0, 42, "sudo"},
           {"locked", AE_IFREG, 0, 0, 42, "secret"},
           {"closed", AE_IFDIR, 0, 7, 7},
           {"closed/in", AE_IFREG, 0600, 7, 7, "in"},
           {"sticky", AE_IFDIR, 01777, 0, 0},
           {"empty", AE_IFREG, 0644, 1, 1},
           {"old", AE_IFREG, 0644, 0, 0, "old", 0},
           {"before", AE_IFREG, 0644, 0, 0, "before", -86'400},
           {"later", AE_IFREG, 0644, 0, 0, "later", 4'000'000'000, 123'456'789},
           {"ping", AE_IFREG, 0755, 33, 33, "ping", 1, 0, {{"security.capability", capability}}},
           {"noted", AE_IFREG, 0444, 5, 5, "noted", 1, 0, {{"user.a", "1"}, {"user.b", "two"}}},
           {"twice", kHardLinkType, 0444, 5, 5, "noted", 1},
           {"up", AE_IFLNK, 0777, 12, 13, "../../etc/passwd"},
           {"away", AE_IFLNK, 0777, 12, 13, "/etc/passwd"},
           {"pipe", AE_IFIFO, 0620, 9, 8},
           {"na\xc3\xafve \xe2\x82\xac", AE_IFREG, 0644, 0, 0, "utf-8"},
           {"e\xcc\x81", AE_IFREG, 0644, 0, 0, "composed"},
           {"latin\xe9", AE_IFREG, 0644, 0, 0, "no utf-8"},
           {"-dash *?[a] \\n", AE_IFREG, 0644, 0, 0, "signs"}},
          {{"d", AE_IFDIR, 0750, 6, 6, "", 1'300'000'000},
           {"d/new", AE_IFREG, 0644, 0, 0, "new"},
           {"d/linked", kHardLinkType, 0444, 5, 5, "noted", 1}}});
  EXPECT_EQ(by_tar_, by_umoci_);
  // That both are right, and not empty in the same way.
  EXPECT_NE(by_tar_.find("sudo f 6755 0 42 1000000000.0000000000 1"), std::string::npos) << by_tar_;
  EXPECT_NE(by_tar_.find("d d 750 6 6 1300000000"), std::string::npos) << by_tar_;
  EXPECT_NE(by_tar_.find("security.capability=0x01000002"), std::string::npos) << by_tar_;
}

TEST_F(RealPlainLayers, ATarThatWarnsIsLeftToUmociAndItsTreeIsRemoved) {
  const auto root = RootNamespace::Create({});
  ASSERT_TRUE(root) << root.error().message;
  const fs::path tar = directory_.path() / "cut.tar";
  std::ofstream(tar)
      << TarOf({{"a", AE_IFREG, 0644, 0, 0, std::string(4096, 'a')}}).substr(0, 2048);
  const fs::path tree = directory_.path() / "tree";
  const auto unpacked = UnpackPlainLayers(*root, {tar}, tree, directory_.path(), {});
  ASSERT_TRUE(unpacked) << unpacked.error().message;
  EXPECT_FALSE(*unpacked);
  EXPECT_FALSE(fs::exists(tree));
}

}  // namespace
}  // namespace pyro::image
