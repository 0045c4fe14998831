#include "image/oci/source.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace pyro::image {
namespace {

const std::string kDigest = "sha256:" + std::string(63, '0') + "f";

ImageSource Parsed(std::string_view text) {
  const auto source = ParseImageSource(text);
  EXPECT_TRUE(source) << text << ": " << (source ? "" : source.error().message);
  return source ? *source : ImageSource();
}

TEST(ImageSource, ReadsARegistrysImageByTagByDigestAndByBoth) {
  const auto plain = Parsed("oci:registry.example/team/app");
  EXPECT_EQ(plain.location, "registry.example/team/app");
  EXPECT_EQ(plain.tag + plain.digest, "");
  EXPECT_EQ(NameOf(plain), "registry.example/team/app:latest");

  const auto tagged = Parsed("oci:localhost:5000/app:V1.2-x_y");
  EXPECT_EQ(tagged.location, "localhost:5000/app");
  EXPECT_EQ(tagged.tag, "V1.2-x_y");
  EXPECT_EQ(NameOf(tagged), "localhost:5000/app:V1.2-x_y");

  const auto exact = Parsed("oci:localhost/app@" + kDigest);
  EXPECT_EQ(exact.digest, kDigest);
  EXPECT_EQ(NameOf(exact), "localhost/app@" + kDigest);

  const auto both = Parsed("oci:10.0.0.1:5000/a__b/c--d.e:1@" + kDigest);
  EXPECT_EQ(both.tag, "1");
  EXPECT_EQ(both.digest, kDigest);
  EXPECT_EQ(NameOf(both), "10.0.0.1:5000/a__b/c--d.e:1@" + kDigest);
  for (const auto& source : {plain, tagged, exact, both}) {
    EXPECT_EQ(Parsed(FormatImageSource(source)), source);
    EXPECT_TRUE(CheckImageName(NameOf(source)));
  }
}

TEST(ImageSource, ReadsFilesAndWhichImageOfThem) {
  const auto archive = Parsed("docker-archive:/tmp/../tmp/a.tar:team/app:1");
  EXPECT_EQ(archive.location, "/tmp/a.tar");
  EXPECT_EQ(archive.tag, "team/app:1");
  EXPECT_EQ(NameOf(archive), "");
  EXPECT_EQ(FormatImageSource(archive), "docker-archive:/tmp/a.tar:team/app:1");
  EXPECT_EQ(Parsed("docker-archive:/a.tar:@1").tag, "@1");
  const auto relative = Parsed("oci-archive:some.tar");
  EXPECT_EQ(relative.transport, Transport::kOciArchive);
  EXPECT_EQ(relative.location, std::filesystem::absolute("some.tar"));
  EXPECT_EQ(Parsed("oci-layout:/x:2").transport, Transport::kOciLayout);
}

TEST(ImageSource, RefusesWhatIsNotWellFormed) {
  for (const std::string text : {
           "debian:12",
           "oci:",
           "oci:busybox",
           "oci:team/app:1",
           "oci:/app",
           "oci:https://registry.example/app",
           "oci:registry.example/",
           "oci:registry.example/app:",
           "oci:registry.example/app:a b",
           "oci:registry.example/app:-a",
           "oci:registry.example/App",
           "oci:registry.example/a//b",
           "oci:registry.example/../b",
           "oci:registry.example/a..b",
           "oci:registry.example/a___b",
           "oci:registry.example/a-_b",
           "oci:registry.example/-a",
           "oci:registry.example:0/app",
           "oci:registry.example:70000/app",
           "oci:registry..example/app",
           "oci:-x.example/app",
           "oci:oci:5000/app",
           "oci:debian:5000/app",
           "oci:user@registry.example/app",
           "oci:registry.example/app@sha256:00",
           "oci:registry.example/app@sha512:00",
           "oci:registry.example/app@",
           "oci-archive:",
           "oci-archive::tag",
           "oci-archive:/a.tar:",
       }) {
    const auto source = ParseImageSource(text);
    ASSERT_FALSE(source) << text;
    EXPECT_EQ(source.error().code, ErrorCode::kInvalidArgument) << text;
    EXPECT_NE(source.error().hint, "") << text;
  }
  const auto unnamed = ParseImageSource("oci:busybox:1");
  ASSERT_FALSE(unnamed);
  EXPECT_NE(unnamed.error().message.find("names no registry"), std::string::npos);
  EXPECT_FALSE(ParseImageSource("oci:registry.example/app@" + kDigest + "0"));
  EXPECT_FALSE(ParseImageSource("oci:registry.example/" + std::string(300, 'a')));
  EXPECT_FALSE(ParseImageSource("oci-archive:/" + std::string(kMaxImageSourceBytes, 'a')));
}

TEST(ImageSource, PrefixesAloneTellASource) {
  EXPECT_TRUE(IsImageSource("oci:x"));
  EXPECT_TRUE(IsImageSource("docker-archive:"));
  EXPECT_FALSE(IsImageSource("oci"));
  EXPECT_FALSE(IsImageSource("registry.example/app:1"));
}

TEST(ImageName, TakesNamesOfImagesAndOfPeople) {
  for (const std::string name : {"a", "app:1", "localhost:5000/team/App:1", "x@y", "0"}) {
    EXPECT_TRUE(CheckImageName(name)) << name;
  }
}

TEST(ImageName, RefusesWhatWouldBeMistakenForSomethingElse) {
  const std::string names[] = {"",
                               "App",
                               "-a",
                               "a b",
                               "a\n",
                               "a//b",
                               "a/../b",
                               "..",
                               "a/",
                               "debian:12",
                               "debian:99",
                               "oci:registry.example/app",
                               "oci-layout:x",
                               std::string(kMaxImageNameBytes + 1, 'a')};
  for (const auto& name : names) {
    const auto status = CheckImageName(name);
    ASSERT_FALSE(status) << name;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(CheckImageName("debian:12").error().hint, "choose another one, such as my-debian:12");
  EXPECT_TRUE(CheckImageName("my-debian:12"));
}

TEST(ImageName, AStemHasNoEndingsOfArchives) {
  EXPECT_EQ(StemOf("/tmp/app.tar.gz"), "app");
  EXPECT_EQ(StemOf("/tmp/app.1.tar"), "app.1");
  EXPECT_EQ(StemOf("app.tgz"), "app");
  EXPECT_EQ(StemOf("/tmp/layout/"), "layout");
  EXPECT_EQ(StemOf("/tmp/.tar"), ".tar");
}

}  // namespace
}  // namespace pyro::image
