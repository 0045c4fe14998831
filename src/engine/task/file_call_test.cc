// Operations on files, with the test as a hostile guest.

#include "engine/task/file_call.h"

#include <string>

#include <gtest/gtest.h>

#include "engine/testing/session_peer.h"

namespace pyro::engine {
namespace {

// What a read of at most 8 bytes comes to, and what its sink then has.
Result<wire::FileEnd> ReadEight(const std::string& content, TestSink& sink) {
  Peer peer([&](Peer& self, const wire::Frame& frame) {
    if (frame.type != wire::FrameType::kEof) return;  // No stdin was given.
    wire::FileEnd end;
    end.bytes = 8;
    // At once: its reader hangs up at the first that is too much.
    const auto data = [](OutputStream stream, const std::string& bytes) {
      return wire::EncodeData(kTestChannel, wire::StreamOf(stream), bytes);
    };
    self.Say(EncodeFrame(wire::Ready{}.ToFrame()) +
             data(OutputStream::kStdout, content.substr(0, 5)) +
             data(OutputStream::kStdout, content.substr(5)) +
             data(OutputStream::kStderr, wire::FileRecord(end)) +
             EncodeFrame(wire::Exited{}.ToFrame(kTestChannel)));
  });
  SupervisorLink link = peer.Connect();
  FileCall call;
  call.request.operation = wire::FileOperation::kRead;
  call.request.path = "file";
  call.request.limit = 8;
  return CarryOutInGuest(link, call, &sink, {});
}

TEST(FileCallTest, AGuestSendsNoMoreOfAFileThanWasAskedFor) {
  TestSink sink;
  const auto read = ReadEight("12345678", sink);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(sink.out, "12345678");
  TestSink other;
  const auto more = ReadEight("123456789", other);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, ErrorCode::kProtocol) << more.error().message;
  EXPECT_LE(other.out.size(), 8u);
}

}  // namespace
}  // namespace pyro::engine
