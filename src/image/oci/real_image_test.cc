// Unpacks and pulls a layout made by hand with the real skopeo, umoci and mkfs.erofs, and looks
// into the result with dump.erofs.

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "image/oci/image_builder.h"
#include "image/oci/unpack.h"
#include "image/store/digest.h"
#include "image/store/store.h"
#include "image/testing/fake_builder.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr time_t kTime = 1'000'000'000;

// A layer, written entry by entry.
class Layer {
 public:
  Layer() : archive_(archive_write_new(), &archive_write_free), bytes_(16 << 20) {
    archive_write_add_filter_gzip(archive_.get());
    archive_write_set_format_pax(archive_.get());
    archive_write_open_memory(archive_.get(), bytes_.data(), bytes_.size(), &used_);
  }

  Layer& Add(const char* name, unsigned type, mode_t mode, int uid, int gid,
             std::string_view content = {}, const char* hard_link = nullptr) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              &archive_entry_free);
    archive_entry_set_pathname(entry.get(), name);
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), mode);
    archive_entry_set_uid(entry.get(), uid);
    archive_entry_set_gid(entry.get(), gid);
    archive_entry_set_mtime(entry.get(), kTime, 0);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    if (hard_link != nullptr) archive_entry_set_hardlink(entry.get(), hard_link);
    if (type == AE_IFLNK) archive_entry_set_symlink(entry.get(), content.data());
    if (type == AE_IFLNK) archive_entry_set_size(entry.get(), 0);
    if (type == AE_IFREG && name == std::string_view("bin/ping")) {
      // cap_net_raw=ep, as version 2 of the attribute has it.
      const unsigned char capability[20] = {1, 0, 0, 2, 0, 0x20};
      archive_entry_xattr_add_entry(entry.get(), "security.capability", capability,
                                    sizeof capability);
    }
    EXPECT_EQ(archive_write_header(archive_.get(), entry.get()), ARCHIVE_OK)
        << archive_error_string(archive_.get());
    if (type == AE_IFREG) archive_write_data(archive_.get(), content.data(), content.size());
    return *this;
  }

  std::string Finish() {
    archive_write_close(archive_.get());
    return {bytes_.data(), used_};
  }

 private:
  std::unique_ptr<archive, decltype(&archive_write_free)> archive_;
  std::vector<char> bytes_;
  std::size_t used_ = 0;
};

class RealImage : public testing::Test {
 protected:
  void SetUp() override {
    image_.layout = directory_.path() / "layout";
    image_.tag = "t";
    fs::create_directories(image_.layout / "blobs/sha256");
  }

  Json Blob(const std::string& bytes, const std::string& type) {
    const std::string digits = Sha256Hex(bytes);
    std::ofstream(image_.layout / "blobs/sha256" / digits) << bytes;
    return {{"mediaType", type}, {"digest", "sha256:" + digits}, {"size", bytes.size()}};
  }

  void Write(std::vector<Layer>& layers) {
    Json listed = Json::array();
    Json diff_ids = Json::array();
    for (Layer& layer : layers) {
      const std::string bytes = layer.Finish();
      const Json blob = Blob(bytes, "application/vnd.oci.image.layer.v1.tar+gzip");
      image_.layers.push_back(blob["digest"]);
      listed.push_back(blob);
      diff_ids.push_back("sha256:" + Sha256Hex(Plain(bytes)));
    }
    const Json config = {{"architecture", architecture_},
                         {"os", "linux"},
                         {"config", {{"User", "app"}}},
                         {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
    const std::string media_type = "application/vnd.oci.image.manifest.v1+json";
    const Json manifest = {
        {"schemaVersion", 2},
        {"mediaType", media_type},
        {"config", Blob(config.dump(), "application/vnd.oci.image.config.v1+json")},
        {"layers", listed}};
    Json described = Blob(manifest.dump(), media_type);
    described["annotations"] = {{"org.opencontainers.image.ref.name", image_.tag}};
    std::ofstream(image_.layout / "index.json")
        << Json{{"schemaVersion", 2}, {"manifests", {described}}}.dump();
    std::ofstream(image_.layout / "oci-layout") << R"({"imageLayoutVersion": "1.0.0"})";
  }

  static std::string Plain(const std::string& compressed) {
    const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(),
                                                                        &archive_read_free);
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_format_raw(reader.get());
    archive_read_open_memory(reader.get(), compressed.data(), compressed.size());
    archive_entry* entry = nullptr;
    EXPECT_EQ(archive_read_next_header(reader.get(), &entry), ARCHIVE_OK);
    std::string plain(16 << 20, '\0');
    plain.resize(
        static_cast<std::size_t>(archive_read_data(reader.get(), plain.data(), plain.size())));
    return plain;
  }

  Result<SealedImage> Unpack() {
    const auto root = RootNamespace::Create({});
    if (!root) return root.error();
    return UnpackAndSeal({}, *root, image_, directory_.path(), base(), {}, {}, {});
  }

  fs::path base() const { return directory_.path() / "base.erofs"; }

  // What dump.erofs says of one path.
  std::string Of(const std::string& path) const { return Of(path, base()); }
  static std::string Of(const std::string& path, const fs::path& disk) {
    return Capture({}, {"dump.erofs", "--path=" + path, disk.native()}).value_or("nothing");
  }

  // dump.erofs shows no setuid bit.
  mode_t ModeOf(const std::string& path) const {
    const fs::path tree = directory_.path() / "extracted";
    const auto extracted =
        Capture({}, {"fsck.erofs", "--extract=" + tree.native(), "--preserve-perms",
                     "--no-preserve-owner", base().native()});
    EXPECT_TRUE(extracted) << extracted.error().message;
    struct stat info {};
    EXPECT_EQ(::lstat((tree / path).c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  // With skopeo, too.
  Result<PullResult> Pull() {
    return store_.Pull({.source = "oci-layout:" + image_.layout.native(), .name = "by-hand"},
                       PullMode::kIfNeeded, {}, {});
  }

  sys::TestDirectory directory_;
  FetchedImage image_;
  const char* architecture_ = "amd64";
  FakeBuilder catalog_;
  OciImageBuilder images_{directory_.path() / "cache", {}};
  EnvironmentStore store_{directory_.path() / "cache", catalog_, images_};
};

#define EXPECT_SAYS(path, words) \
  EXPECT_NE(Of(path).find(words), std::string::npos) << (path) << ": " << Of(path)

TEST_F(RealImage, OwnersModesLinksCapabilitiesAndTimesAreTheImages) {
  std::vector<Layer> layers(2);
  layers[0]
      .Add("bin", AE_IFDIR, 0755, 0, 0)
      .Add("bin/su", AE_IFREG, 04755, 0, 0, "su")
      .Add("bin/ping", AE_IFREG, 0755, 0, 0, "ping")
      .Add("etc/shadow", AE_IFREG, 0, 0, 42, "secret")
      .Add("gone", AE_IFREG, 0644, 0, 0, "gone")
      .Add("opaque", AE_IFDIR, 0755, 0, 0)
      .Add("opaque/old", AE_IFREG, 0644, 0, 0, "old")
      .Add("home/app", AE_IFDIR, 0700, 1000, 50)
      .Add("home/app/file", AE_IFREG, 0640, 1000, 50, "file");
  layers[1]
      .Add(".wh.gone", AE_IFREG, 0644, 0, 0)
      .Add("opaque", AE_IFDIR, 0755, 0, 0)
      .Add("opaque/.wh..wh..opq", AE_IFREG, 0644, 0, 0)
      .Add("opaque/new", AE_IFREG, 0644, 33, 33, "new")
      .Add("home/app/link", AE_IFLNK, 0777, 1000, 50, "file")
      .Add("a", AE_IFREG, 0644, 65534, 65534, "one")
      .Add("b", AE_IFREG, 0644, 65534, 65534, {}, "a")
      .Add("pipe", AE_IFIFO, 0600, 7, 7);
  Write(layers);
  const auto sealed = Unpack();
  ASSERT_TRUE(sealed) << sealed.error().message << " " << sealed.error().hint;
  EXPECT_TRUE(sealed->left_out.empty());
  EXPECT_FALSE(fs::exists(directory_.path() / "rootfs"));
  EXPECT_EQ(ModeOf("bin/su"), 04755U);
  EXPECT_SAYS("/bin/su", "Uid: 0   Gid: 0");
  EXPECT_SAYS("/bin/su", "2001-09-09");
  EXPECT_EQ(Of("/bin/ping").find("Xattr size: 0"), std::string::npos) << Of("/bin/ping");
  EXPECT_SAYS("/bin/su", "Xattr size: 0");
  EXPECT_SAYS("/etc/shadow", "Access: 0000");
  EXPECT_SAYS("/etc/shadow", "Gid: 42");
  EXPECT_SAYS("/home/app", "Uid: 1000   Gid: 50");
  EXPECT_SAYS("/home/app", "Access: 0700");
  EXPECT_SAYS("/home/app/link", "symlink");
  EXPECT_SAYS("/home/app/link", "Uid: 1000   Gid: 50");
  EXPECT_SAYS("/opaque/new", "Uid: 33   Gid: 33");
  EXPECT_SAYS("/b", "Links: 2");
  EXPECT_SAYS("/b", "Uid: 65534");
  EXPECT_SAYS("/pipe", "Uid: 7   Gid: 7");
  EXPECT_SAYS("/", "Access: 0755");
  EXPECT_EQ(Of("/gone").find("Access"), std::string::npos) << Of("/gone");
  EXPECT_EQ(Of("/opaque/old").find("Access"), std::string::npos) << Of("/opaque/old");
}

TEST_F(RealImage, ALayerThatContradictsItselfIsRefusedWithItsNumber) {
  std::vector<Layer> layers(2);
  layers[0].Add("fine", AE_IFREG, 0644, 0, 0, "fine");
  layers[1].Add("b", AE_IFREG, 0644, 0, 0, {}, "a").Add("a", AE_IFREG, 0644, 0, 0, "late");
  Write(layers);
  const auto refused = Unpack();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(refused.error().message.find("layer 2 of the image cannot be unpacked: b: link: "), 0U)
      << refused.error().message;
  EXPECT_FALSE(fs::exists(base()));
}

TEST_F(RealImage, APullInstallsTheImageWithItsRecordAndLeavesNothingElse) {
  std::vector<Layer> layers(1);
  layers[0].Add("srv/app", AE_IFDIR, 0700, 1000, 50).Add("opt/kvm", AE_IFREG, 0640, 0, 50, "x");
  Write(layers);
  const auto pulled = Pull();
  ASSERT_TRUE(pulled) << pulled.error().message << " " << pulled.error().hint;
  EXPECT_TRUE(pulled->built);
  const auto found = store_.Inspect("by-hand", CheckDepth::kDigests);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_TRUE(found->manifest.image);
  const ImageRecord& record = *found->manifest.image;
  EXPECT_EQ(record.source, "oci-layout:" + image_.layout.native());
  EXPECT_EQ(record.layers, image_.layers) << "gzip stays as it is";
  EXPECT_GT(record.layer_bytes, 0U);
  EXPECT_EQ(record.config.user, "app");
  for (const char* tool : {"skopeo", "umoci", "mkfs.erofs", "pyro"}) {
    EXPECT_EQ(found->manifest.tools.count(tool), 1U) << tool;
  }
  fs::copy_file(found->base_image, base());
  EXPECT_SAYS("/srv/app", "Uid: 1000   Gid: 50");
  for (const auto& entry : fs::directory_iterator(found->directory.parent_path())) {
    EXPECT_FALSE(entry.path().filename().native().starts_with(".")) << entry.path();
  }
  const auto again = Pull();
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(again->built);
  const fs::path blobs = directory_.path() / "cache/oci/blobs";
  EXPECT_GT(std::distance(fs::recursive_directory_iterator(blobs), {}), 1);
  EXPECT_GT(store_.Remove("by-hand", {}).value(), 4096U);
  for (const auto& entry : fs::recursive_directory_iterator(blobs)) {
    EXPECT_FALSE(entry.is_regular_file()) << entry.path();
  }
}

// Bytes that no compression makes smaller, so that a layer with them is a disk of its own.
std::string Noise(unsigned seed) {
  std::string bytes(5 << 20, '\0');
  std::mt19937 random(seed);
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST_F(RealImage, LargeLayersAreDisksThatHideWhatTheyRemove) {
  std::vector<Layer> layers(2);
  layers[0]
      .Add("d", AE_IFDIR, 0755, 0, 0)
      .Add("d/gone", AE_IFREG, 0644, 0, 0, "gone")
      .Add("e", AE_IFDIR, 0755, 0, 0)
      .Add("e/old", AE_IFREG, 0644, 0, 0, "old")
      .Add("one", AE_IFREG, 0644, 0, 0, Noise(1));
  layers[1]
      .Add("d", AE_IFDIR, 0750, 7, 8)
      .Add("d/.wh.gone", AE_IFREG, 0644, 0, 0)
      .Add("e", AE_IFDIR, 0711, 33, 33)
      .Add("e/.wh..wh..opq", AE_IFREG, 0644, 0, 0)
      .Add("e/new", AE_IFREG, 0644, 0, 0, "new")
      .Add("two", AE_IFREG, 0644, 0, 0, Noise(2));
  Write(layers);
  const auto pulled = Pull();
  ASSERT_TRUE(pulled) << pulled.error().message << " " << pulled.error().hint;
  ASSERT_EQ(pulled->environment.layer_images.size(), 1U);
  const fs::path upper = pulled->environment.layer_images[0];
  EXPECT_NE(Of("/d/gone", upper).find("char dev"), std::string::npos) << Of("/d/gone", upper);
  EXPECT_NE(Of("/d", upper).find("Uid: 7   Gid: 8  Access: 0750"), std::string::npos)
      << Of("/d", upper);
  EXPECT_NE(Of("/d", upper).find("2001-09-09"), std::string::npos) << Of("/d", upper);
  EXPECT_EQ(Of("/e", upper).find("Xattr size: 0"), std::string::npos) << Of("/e", upper);
  EXPECT_NE(Of("/e", upper).find("Uid: 33"), std::string::npos) << Of("/e", upper);
  EXPECT_NE(Of("/e/new", upper).find("Access"), std::string::npos);
  EXPECT_EQ(Of("/one", upper).find("Access"), std::string::npos);
  EXPECT_NE(Of("/one", pulled->environment.base_image).find("Access"), std::string::npos);
  EXPECT_TRUE(store_.Inspect("by-hand", CheckDepth::kDigests));
  // Another name takes the same disks from the store.
  const auto again = store_.Pull({.source = "oci-layout:" + image_.layout.native(), .name = "two"},
                                 PullMode::kIfNeeded, {}, {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->built);
  EXPECT_TRUE(fs::equivalent(again->environment.layer_images[0], upper));
  EXPECT_TRUE(fs::equivalent(again->environment.base_image, pulled->environment.base_image));
  EXPECT_LT(store_.Remove("by-hand", {}).value(), 1U << 20) << "the other name has the disks";
  EXPECT_GT(store_.Remove("two", {}).value(), 20U << 20);
  EXPECT_TRUE(fs::is_empty(directory_.path() / "cache/oci/layers"));
}

TEST_F(RealImage, ALayerThatNeedsThoseBelowItIsOneDiskWithThem) {
  std::vector<Layer> layers(3);
  layers[0].Add("d", AE_IFDIR, 0700, 7, 8).Add("one", AE_IFREG, 0644, 0, 0, Noise(1));
  layers[1].Add("d/f", AE_IFREG, 0644, 0, 0, "f").Add("two", AE_IFREG, 0644, 0, 0, Noise(2));
  layers[2].Add("three", AE_IFREG, 0644, 0, 0, Noise(3));
  Write(layers);
  for (const char* name : {"first", "from the store"}) {
    const auto pulled = store_.Pull({.source = "oci-layout:" + image_.layout.native(),
                                     .name = name == std::string("first") ? "a" : "b"},
                                    PullMode::kIfNeeded, {}, {});
    ASSERT_TRUE(pulled) << pulled.error().message << " " << pulled.error().hint;
    const InstalledEnvironment& found = pulled->environment;
    ASSERT_EQ(found.layer_images.size(), 1U) << name;
    EXPECT_NE(Of("/d", found.base_image).find("Uid: 7   Gid: 8  Access: 0700"), std::string::npos)
        << Of("/d", found.base_image);
    EXPECT_NE(Of("/two", found.base_image).find("Access"), std::string::npos);
    EXPECT_NE(Of("/three", found.layer_images[0]).find("Access"), std::string::npos);
  }
}

TEST_F(RealImage, AnImageOfAnotherArchitectureIsRefusedBeforeItIsUnpacked) {
  architecture_ = "arm64";
  std::vector<Layer> layers(1);
  layers[0].Add("f", AE_IFREG, 0644, 0, 0, "f");
  Write(layers);
  const auto refused = Pull();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument) << refused.error().message;
  EXPECT_NE(refused.error().message.find("linux/arm64"), std::string::npos);
  EXPECT_FALSE(store_.Find("by-hand"));
}

TEST_F(RealImage, ADamagedLayerIsRefused) {
  std::vector<Layer> layers(1);
  layers[0].Add("f", AE_IFREG, 0644, 0, 0, std::string(100'000, 'x'));
  Write(layers);
  const fs::path blob = image_.layout / "blobs/sha256" / image_.layers[0].substr(7);
  fs::resize_file(blob, fs::file_size(blob) / 2);
  const auto refused = Unpack();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss) << refused.error().message;
}

}  // namespace
}  // namespace pyro::image
