// Frames: the one framing of both channels, client to supervisor and supervisor to agent.
// docs/PROTOCOL.md is the specification. Bytes in, values out; no I/O here.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pyro/enums.h"
#include "pyro/result.h"

namespace pyro::wire {

// Raised when a change would make an older peer misunderstand; peers of different versions refuse
// each other.
inline constexpr int kProtocolVersion = 1;

inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kMaxDataBytes = 64 * 1024;       // Payload of a kData frame.
inline constexpr std::size_t kMaxExecBytes = 1280 * 1024;     // Payload of a kExec frame.
inline constexpr std::size_t kMaxMessageBytes = 1024 * 1024;  // Payload of any other frame.
inline constexpr std::uint32_t kInitialCredit = 256 * 1024;   // Bytes of each stream at first.
inline constexpr std::size_t kMaxChannels = 256;              // Commands at once on one connection.

enum class FrameType : std::uint8_t {
  kHello = 1,      // both: first frame of either side
  kSetup = 2,      // host to agent: the identity of this guest
  kReady = 3,      // agent to host, supervisor to client: commands are taken from now on
  kExec = 4,       // request: run a command on this channel
  kStarted = 5,    // reply: it runs
  kData = 6,       // raw bytes of one stream
  kEof = 7,        // the end of one stream
  kCredit = 8,     // the receiver of a stream allows that many bytes more
  kKill = 9,       // request: kill the whole process tree of the channel's command
  kExited = 10,    // reply, last frame of a channel: how it ended
  kError = 11,     // reply, last frame of a channel; on channel 0: the connection ends
  kPowerOff = 12,  // host to agent: sync, unmount, power off
  kStop = 13,      // client to supervisor: end the guest
  kProgress = 14,  // supervisor to client: the current step of the guest's start
  kStopped = 15,   // supervisor to client: the guest is gone
  kAccepted = 16,  // reply, in a task: the command is in the journal now
  kCancel = 17,    // client to supervisor, in a task: kill the command of a sequence
  kClaim = 18,     // client to supervisor of a spare: make this client the owner
  kClaimed = 19,   // reply: it is the owner
  kPing = 20,      // supervisor to agent: does the guest run?
  kPong = 21,      // reply: it does, and what its clock shows
  kSetClock = 22,  // supervisor to agent: how far its clock is from the host's
  kAsk = 23,       // request: a question that the agent answers
  kAnswer = 24,    // reply, last frame of a channel
  kWrite = 25,     // client to supervisor, in a task: bytes for the stdin of a sequence
  kWritten = 26,   // reply: the command's stdin has them
  kNetRules = 27,  // client to supervisor: the rules of the network are others in the registry
  kNetRuled = 28,  // reply: they hold
};

enum class Stream : std::uint8_t { kStdin = 0, kStdout = 1, kStderr = 2 };

constexpr Stream StreamOf(OutputStream output) {
  return output == OutputStream::kStdout ? Stream::kStdout : Stream::kStderr;
}
// Of a stream that is not kStdin.
constexpr OutputStream OutputOf(Stream stream) {
  return stream == Stream::kStdout ? OutputStream::kStdout : OutputStream::kStderr;
}

struct Frame {
  FrameType type = FrameType::kHello;
  Stream stream = Stream::kStdin;  // Meaningful for kData, kEof and kCredit; kStdin otherwise.
  std::uint32_t channel = 0;       // 0: the connection itself.
  std::string payload;
};

// The frame's bytes. The payload must be within its limit.
std::string EncodeFrame(const Frame& frame);
std::string EncodeData(std::uint32_t channel, Stream stream, std::string_view bytes);
// Only the header of a kData frame; the sender appends `bytes` of payload itself.
std::string EncodeDataHeader(std::uint32_t channel, Stream stream, std::size_t bytes);
std::string EncodeEof(std::uint32_t channel, Stream stream);
std::string EncodeCredit(std::uint32_t channel, Stream stream, std::uint32_t bytes);

// kProtocol unless the payload is exactly one 32-bit little-endian number above 0.
Result<std::uint32_t> DecodeCredit(const Frame& frame);

// Cuts a byte stream into frames. After an error the stream is unusable: every later Next() repeats
// it. Holds at most one frame and the appended bytes. Not thread-safe.
class FrameDecoder {
 public:
  void Append(std::string_view bytes);

  // nullopt: more bytes are needed. kProtocol: unknown type or stream, reserved bits set, or a
  // length above the type's limit; found from the header alone, before any of the payload is
  // awaited.
  Result<std::optional<Frame>> Next();

 private:
  std::string buffer_;
  std::size_t consumed_ = 0;
  std::optional<Error> error_;
};

}  // namespace pyro::wire
