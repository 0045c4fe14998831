#include "image/oci/archived_image.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "image/oci/blob_store.h"
#include "image/testing/test_layout.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

class ArchivedImageTest : public testing::Test {
 protected:
  ImageSource Write(Transport transport, std::string_view name, std::string_view bytes,
                    std::string tag = {}) {
    WriteTestFile(directory_.path() / name, bytes);
    return {transport, directory_.path() / name, std::move(tag), ""};
  }

  ErrorCode CodeOf(const ImageSource& source) {
    const auto image = LookIntoArchive(source, {}, {});
    EXPECT_FALSE(image);
    return image ? ErrorCode::kInternal : image.error().code;
  }

  sys::TestDirectory directory_;
  TestLayout layout_{directory_.path() / "layout"};
};

TEST_F(ArchivedImageTest, ALayoutGivesDigestAndName) {
  const Json one = layout_.AddImage({"x"});
  const Json two = layout_.AddImage({"y"});
  layout_.Finish({WithName(one, "1.0"), WithName(two, "team/two:2")});
  const ImageSource source{Transport::kOciLayout, layout_.directory(), "1.0", ""};
  const auto image = LookIntoArchive(source, {}, {});
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->source_digest, one["digest"].get<std::string>());
  EXPECT_EQ(image->own_name, "layout:1.0");
  const auto second =
      LookIntoArchive({Transport::kOciLayout, layout_.directory(), "team/two:2", ""}, {}, {});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->own_name, "team/two:2");
}

TEST_F(ArchivedImageTest, AnOciArchiveSaysTheSamePlainAndCompressed) {
  const Json one = layout_.AddImage({"x"});
  layout_.Finish({WithName(one, "latest")});
  for (const auto compression : {archive::Compression::kNone, archive::Compression::kGzip,
                                 archive::Compression::kXz, archive::Compression::kZstd}) {
    const std::string tar = layout_.Tar();
    const auto source = Write(
        Transport::kOciArchive, "app.tar.gz",
        compression == archive::Compression::kNone ? tar : archive::Compress(tar, compression));
    const auto image = LookIntoArchive(source, {}, {});
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->source_digest, one["digest"].get<std::string>());
    EXPECT_EQ(image->own_name, "app:latest");
  }
}

TEST_F(ArchivedImageTest, ADockerArchiveSaysItsImagesIdAndRepoTag) {
  const std::string tar =
      TestDockerArchive({{"x", {"a:latest", "old:1"}}, {"y", {"debian:12"}}, {"z", {}}});
  const auto source = Write(Transport::kDockerArchive, "two.tar", tar, "old:1");
  const auto first = LookIntoArchive(source, {}, {});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->place, 0U);
  EXPECT_EQ(first->own_name, "old:1");
  EXPECT_TRUE(IsSha256Digest(first->source_digest));
  const auto second = LookIntoArchive({source.transport, source.location, "@1", ""}, {}, {});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->place, 1U);
  EXPECT_NE(second->source_digest, first->source_digest);
  EXPECT_EQ(second->own_name, "") << "a name of the catalog is never taken";
  const auto third = LookIntoArchive({source.transport, source.location, "@2", ""}, {}, {});
  ASSERT_TRUE(third);
  EXPECT_EQ(third->own_name, "");
  const auto which = LookIntoArchive({source.transport, source.location, "", ""}, {}, {});
  ASSERT_FALSE(which);
  EXPECT_EQ(which.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(which.error().hint.find("a:latest"), std::string::npos);
}

TEST_F(ArchivedImageTest, TheWrongKindIsToldWithTheRightOne) {
  layout_.Finish({layout_.AddImage({"x"})});
  const auto oci = Write(Transport::kDockerArchive, "oci.tar", layout_.Tar());
  const auto as_docker = LookIntoArchive(oci, {}, {});
  ASSERT_FALSE(as_docker);
  EXPECT_EQ(as_docker.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(as_docker.error().hint, "oci-archive:" + oci.location);
  const auto docker =
      Write(Transport::kOciArchive, "docker.tar", TestDockerArchive({{"x", {"a:1"}}}));
  const auto as_oci = LookIntoArchive(docker, {}, {});
  ASSERT_FALSE(as_oci);
  EXPECT_EQ(as_oci.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(as_oci.error().hint, "docker-archive:" + docker.location);
  const auto folder =
      LookIntoArchive({Transport::kOciArchive, layout_.directory(), "", ""}, {}, {});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().hint, "oci-layout:" + layout_.directory().native());
  EXPECT_EQ(CodeOf({Transport::kOciLayout, oci.location, "", ""}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf({Transport::kOciLayout, directory_.path(), "", ""}),
            ErrorCode::kInvalidArgument);
}

TEST_F(ArchivedImageTest, APipeInALayoutIsRefusedAndNotWaitedFor) {
  const auto layout = directory_.path() / "pipes";
  ASSERT_TRUE(sys::MakeDirectories(layout));
  ASSERT_EQ(::mkfifo((layout / "index.json").c_str(), 0600), 0);
  EXPECT_EQ(CodeOf({Transport::kOciLayout, layout, "", ""}), ErrorCode::kInvalidArgument);
  const auto blob = ReadBlob(layout / "index.json", "sha256:" + std::string(64, '0'));
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ArchivedImageTest, DamageIsToldFromNonsense) {
  const std::string tar = TestDockerArchive({{"x", {"a:1"}}});
  EXPECT_EQ(CodeOf({Transport::kDockerArchive, directory_.path() / "none", "", ""}),
            ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(Write(Transport::kDockerArchive, "text", std::string(2000, 'x'))),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Write(Transport::kDockerArchive, "cut", tar.substr(0, tar.size() - 1200))),
            ErrorCode::kDataLoss);
  const std::string packed = archive::Compress(tar);
  EXPECT_EQ(
      CodeOf(Write(Transport::kDockerArchive, "cut.gz", packed.substr(0, packed.size() - 10))),
      ErrorCode::kDataLoss);
  const std::string without_config =
      archive::TarBuilder()
          .Add('0', "manifest.json", R"([{"Config":"a.json","RepoTags":["a:1"],"Layers":[]}])")
          .Finished();
  EXPECT_EQ(CodeOf(Write(Transport::kDockerArchive, "half", without_config)), ErrorCode::kDataLoss);
}

TEST_F(ArchivedImageTest, BlobsAloneAreExtracted) {
  const Json one = layout_.AddImage({"x"});
  layout_.Finish({one});
  const std::string digest = one["digest"];
  archive::TarBuilder tar;
  tar.Add('0', "blobs/sha256/../../../escaped", "x");
  tar.Add('0', "blobs/sha256/" + digest.substr(7), layout_.Blob(digest));
  tar.Add('2', "blobs/sha256/" + std::string(64, 'a'), "", "/etc/passwd");
  const auto source = Write(Transport::kOciArchive, "odd.tar", tar.Finished());
  const fs::path to = directory_.path() / "to";
  ASSERT_TRUE(ExtractBlobs(source.location, to, {}, {}));
  EXPECT_EQ(ReadTestFile(to / "blobs/sha256" / digest.substr(7)), layout_.Blob(digest));
  EXPECT_EQ(std::distance(fs::directory_iterator(to / "blobs/sha256"), fs::directory_iterator()),
            1);
  EXPECT_FALSE(fs::exists(directory_.path() / "escaped"));
}

TEST_F(ArchivedImageTest, APlainArchiveIsUsedWhereItIs) {
  const std::string tar = TestDockerArchive({{"x", {"a:1"}}});
  const fs::path to = directory_.path() / "plain.tar";
  const auto plain = Write(Transport::kDockerArchive, "a.tar", tar);
  EXPECT_EQ(PlainArchive(plain.location, to, {}, {}).value(), plain.location);
  EXPECT_FALSE(fs::exists(to));
  const auto packed = Write(Transport::kDockerArchive, "a.tar.gz", archive::Compress(tar));
  EXPECT_EQ(PlainArchive(packed.location, to, {}, {}).value(), to);
  EXPECT_EQ(ReadTestFile(to), tar);
}

TEST_F(ArchivedImageTest, ReadingALargeArchiveCanBeStopped) {
  auto stop = sys::MakePipe();
  ASSERT_TRUE(stop);
  stop->write.Reset();
  const auto source =
      Write(Transport::kDockerArchive, "a.tar", TestDockerArchive({{"x", {"a:1"}}}));
  const auto image = LookIntoArchive(source, {}, {stop->read.get()});
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace pyro::image
