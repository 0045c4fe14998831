#include "archive/image_layer.h"

#include <gtest/gtest.h>

#include "archive/tar.h"
#include "archive/test_support.h"

namespace pyro::archive {
namespace {

class ImageLayerTest : public ::testing::Test {
 protected:
  Result<ImageLayer> Copy(const std::string& tar, bool counts_alone = false) {
    out_ = FdOf("");
    const sys::UniqueFd in = FdOf(tar);
    Meter meter(operation_);
    FdSource source(in.get(), meter);
    return CopyImageLayer(source, counts_alone ? -1 : out_.get(), operation_);
  }

  // The names, with what the agent must have to make them.
  std::vector<std::string> Entries() {
    std::vector<std::string> entries;
    for (const auto& [entry, content] : ReadTar(ReadBack(out_.get()))) {
      std::string text = fmt::format("{} {:o} {}:{}", entry.name, entry.mode, entry.uid, entry.gid);
      if (!entry.target.empty()) text += " -> " + entry.target;
      if (entry.type == Entry::Type::kDevice) {
        text += fmt::format(" {} {}:{}", entry.block ? "block" : "character", entry.device_major,
                            entry.device_minor);
      }
      for (const auto& [name, value] : entry.attributes) {
        text += fmt::format(" {}={}", name, value);
      }
      if (!content.empty()) text += fmt::format(" [{}]", content);
      entries.push_back(text);
    }
    return entries;
  }

  Operation operation_;
  sys::UniqueFd out_;
};

TEST_F(ImageLayerTest, AllThatALayerHasGoesOn) {
  const auto layer =
      Copy(TarBuilder()
               .Pax({{"SCHILY.xattr.security.capability", "cap"}, {"uid", "1200000001"}})
               .Add('0', "./usr/bin/su", "program", "", 04755)
               .Add('1', "usr/bin/again", "", "./usr/bin/su")
               .Add('2', "lib", "", "usr/lib")
               .Add('0', "usr/.wh.gone")
               .Add('0', "etc/.wh..wh..opq")
               .Add('6', "pipe")
               .Finished());
  ASSERT_TRUE(layer.ok()) << layer.error().message;
  EXPECT_TRUE(layer->left_out.empty());
  EXPECT_EQ(layer->entries, 6u);
  EXPECT_EQ(Entries(), (std::vector<std::string>{
                           "usr/bin/su 4755 1200000001:1000 security.capability=cap [program]",
                           "usr/bin/again 644 1000:1000 -> usr/bin/su",
                           "lib 644 1000:1000 -> usr/lib", "usr/.wh.gone 644 1000:1000",
                           "etc/.wh..wh..opq 644 1000:1000", "pipe 644 1000:1000"}));
}

TEST_F(ImageLayerTest, NamesAreThoseBelowTheRoot) {
  ASSERT_TRUE(Copy(TarBuilder()
                       .Add('5', "./", "", "", 0700)
                       .Add('0', "/abs", "1")
                       .Add('0', "../../up", "2")
                       .Add('0', "a//b/./../c", "3")
                       .Add('1', "h", "", "../abs")
                       .Finished())
                  .ok());
  EXPECT_EQ(Entries(), (std::vector<std::string>{"./ 700 1000:1000", "abs 644 1000:1000 [1]",
                                                 "up 644 1000:1000 [2]", "a/c 644 1000:1000 [3]",
                                                 "h 644 1000:1000 -> abs"}));
}

TEST_F(ImageLayerTest, DevicesKeepTheirNumbersAndAnOverlaysMarksAreLeftOut) {
  const sys::UniqueFd out = FdOf("");
  {
    Meter meter(operation_);
    const auto writer = TarWriter::Create(out.get(), meter, TarWriter::Counting::kNo).value();
    Entry device;
    device.type = Entry::Type::kDevice;
    device.name = "zero";
    device.mode = 0640;
    device.device_major = 1;
    device.device_minor = 5;
    ASSERT_TRUE(writer->Add(device).ok());
    device.name = "disk";
    device.block = true;
    device.device_major = 259;
    device.device_minor = 70'000;
    ASSERT_TRUE(writer->Add(device).ok());
    device.name = "mark";
    device.block = false;
    device.device_major = device.device_minor = 0;
    ASSERT_TRUE(writer->Add(device).ok());
    Entry file;
    file.name = "file";
    file.attributes = {{"trusted.overlay.opaque", "y"}, {"user.note", "n"}};
    ASSERT_TRUE(writer->Add(file).ok());
    ASSERT_TRUE(writer->Finish().ok());
  }
  const auto layer = Copy(ReadBack(out.get()));
  ASSERT_TRUE(layer.ok()) << layer.error().message;
  EXPECT_EQ(layer->left_out,
            (std::vector<std::string>{"the device node /mark (0:0)",
                                      "the attribute trusted.overlay.opaque of /file"}));
  EXPECT_EQ(Entries(),
            (std::vector<std::string>{"zero 640 0:0 character 1:5", "disk 640 0:0 block 259:70000",
                                      "file 0 0:0 user.note=n"}));
}

TEST_F(ImageLayerTest, WhatItTakesIsCountedWithoutWritingIt) {
  const auto layer = Copy(TarBuilder()
                              .Add('5', "d")
                              .Add('0', "d/small", "x")
                              .Add('0', "d/large", std::string(9000, 'x'))
                              .Finished(),
                          true);
  ASSERT_TRUE(layer.ok());
  EXPECT_EQ(layer->entries, 3u);
  EXPECT_GE(layer->content_bytes, 4096u + 4096u + 12288u);
  EXPECT_LE(layer->content_bytes, 4096u + 4096u + 12288u + 300u);
  EXPECT_GT(layer->bytes, 9000u + 4 * 512u);
  EXPECT_EQ(ReadBack(out_.get()), "");
}

TEST_F(ImageLayerTest, WhatNoDiskCanHaveIsRefused) {
  for (const TarBuilder& tar :
       {TarBuilder().Add('0', "."), TarBuilder().Add('2', "l", "", ""),
        TarBuilder().Add('1', "h", "", "/"),
        TarBuilder().Pax({{"path", std::string(300, 'x')}}).Add('0', "f"),
        TarBuilder().Pax({{"linkpath", std::string(5000, 'x')}}).Add('2', "f", "", "x")}) {
    const auto layer = Copy(tar.Finished());
    ASSERT_FALSE(layer.ok());
    EXPECT_EQ(layer.error().code, ErrorCode::kDataLoss) << layer.error().message;
  }
  const std::string whole = TarBuilder().Add('0', "f", std::string(5000, 'x')).Finished();
  EXPECT_EQ(Copy(whole.substr(0, 3000)).error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace pyro::archive
