#include "wire/frame.h"

#include <vector>

#include <gtest/gtest.h>

namespace pyro::wire {
namespace {

TEST(FrameTest, RoundTripHoweverTheBytesArrive) {
  std::string bytes;
  bytes += EncodeData(7, Stream::kStderr, std::string(kMaxDataBytes, 'x'));
  bytes += EncodeEof(7, Stream::kStdout);
  bytes += EncodeCredit(9, Stream::kStdin, 4096);
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{11}, std::size_t{4097}, bytes.size()}) {
    FrameDecoder decoder;
    std::vector<Frame> frames;
    for (std::size_t i = 0; i < bytes.size(); i += step) {
      decoder.Append(std::string_view(bytes).substr(i, step));
      while (true) {
        auto frame = decoder.Next();
        ASSERT_TRUE(frame.ok());
        if (!*frame) break;
        frames.push_back(std::move(**frame));
      }
    }
    ASSERT_EQ(frames.size(), 3u) << "step " << step;
    EXPECT_EQ(frames[0].payload.size(), kMaxDataBytes);
    EXPECT_EQ(frames[0].stream, Stream::kStderr);
    EXPECT_EQ(frames[0].channel, 7u);
    EXPECT_EQ(frames[1].type, FrameType::kEof);
    EXPECT_EQ(*DecodeCredit(frames[2]), 4096u);
  }
}

TEST(FrameTest, TheBytesOfTheSpecification) {
  // The example of docs/PROTOCOL.md: two bytes on stdout of channel 5.
  EXPECT_EQ(EncodeData(5, Stream::kStdout, "hi"),
            std::string("\x02\0\0\0\x06\x01\0\0\x05\0\0\0hi", 14));
}

// One header per way to lie; each is refused before any payload arrives, and for ever after.
TEST(FrameTest, RefusesHostileHeadersAtOnce) {
  const std::string cases[] = {
      std::string("\xff\xff\xff\xff\x06\x01\0\0\x01\0\0\0", 12),  // data of 4 GiB
      std::string("\x01\x00\x01\x00\x06\x01\0\0\x01\0\0\0", 12),  // data one byte over the limit
      std::string("\x01\x00\x10\x00\x01\x00\0\0\x00\0\0\0", 12),  // message one byte over the limit
      std::string("\x00\0\0\0\x00\x00\0\0\x01\0\0\0", 12),        // type 0
      std::string("\x00\0\0\0\x1d\x00\0\0\x01\0\0\0", 12),        // type beyond the last
      std::string("\x00\0\0\0\x06\x03\0\0\x01\0\0\0", 12),        // stream 3
      std::string("\x00\0\0\0\x01\x01\0\0\x00\0\0\0", 12),        // a stream where there is none
      std::string("\x00\0\0\0\x06\x01\x01\0\x01\0\0\0", 12),      // reserved bits
      std::string("\x01\0\0\0\x07\x01\0\0\x01\0\0\0", 12),        // eof with a payload
      std::string("\x05\0\0\0\x08\x01\0\0\x01\0\0\0", 12),        // credit of five bytes
  };
  for (const std::string& header : cases) {
    FrameDecoder decoder;
    decoder.Append(header);
    auto frame = decoder.Next();
    ASSERT_FALSE(frame.ok());
    EXPECT_EQ(frame.error().code, ErrorCode::kProtocol);
    decoder.Append(EncodeEof(1, Stream::kStdout));
    EXPECT_FALSE(decoder.Next().ok());
  }
}

TEST(FrameTest, CreditMustBeFourBytesAboveZero) {
  Frame frame;
  frame.type = FrameType::kCredit;
  frame.payload = std::string(4, '\0');
  EXPECT_FALSE(DecodeCredit(frame).ok());
  frame.payload = "abc";
  EXPECT_FALSE(DecodeCredit(frame).ok());
}

}  // namespace
}  // namespace pyro::wire
