#include "wire/frame.h"

#include <fmt/format.h>

#include "base/check.h"

namespace pyro::wire {
namespace {

void PutU32(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
}

std::uint32_t GetU32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

bool IsKnown(std::uint8_t type) {
  return type >= static_cast<std::uint8_t>(FrameType::kHello) &&
         type <= static_cast<std::uint8_t>(FrameType::kNetRuled);
}

std::size_t Limit(FrameType type) {
  switch (type) {
    case FrameType::kData:
      return kMaxDataBytes;
    case FrameType::kEof:
      return 0;
    case FrameType::kCredit:
      return 4;
    case FrameType::kExec:
      return kMaxExecBytes;
    default:
      return kMaxMessageBytes;
  }
}

bool HasStream(FrameType type) {
  return type == FrameType::kData || type == FrameType::kEof || type == FrameType::kCredit;
}

std::string Header(std::size_t length, FrameType type, Stream stream, std::uint32_t channel) {
  PYRO_CHECK(length <= Limit(type));
  std::string out;
  PutU32(out, static_cast<std::uint32_t>(length));
  out += static_cast<char>(type);
  out += static_cast<char>(stream);
  out += '\0';
  out += '\0';
  PutU32(out, channel);
  return out;
}

}  // namespace

std::string EncodeFrame(const Frame& frame) {
  return Header(frame.payload.size(), frame.type, frame.stream, frame.channel) + frame.payload;
}

std::string EncodeData(std::uint32_t channel, Stream stream, std::string_view bytes) {
  std::string out = Header(bytes.size(), FrameType::kData, stream, channel);
  out += bytes;
  return out;
}

std::string EncodeDataHeader(std::uint32_t channel, Stream stream, std::size_t bytes) {
  return Header(bytes, FrameType::kData, stream, channel);
}

std::string EncodeEof(std::uint32_t channel, Stream stream) {
  return Header(0, FrameType::kEof, stream, channel);
}

std::string EncodeCredit(std::uint32_t channel, Stream stream, std::uint32_t bytes) {
  std::string out = Header(4, FrameType::kCredit, stream, channel);
  PutU32(out, bytes);
  return out;
}

Result<std::uint32_t> DecodeCredit(const Frame& frame) {
  if (frame.payload.size() == 4) {
    if (const std::uint32_t value = GetU32(frame.payload); value > 0) return value;
  }
  return MakeError(ErrorCode::kProtocol, "malformed credit");
}

void FrameDecoder::Append(std::string_view bytes) {
  if (error_) return;
  if (consumed_ > 0 && consumed_ >= buffer_.size() / 2) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<Frame>> FrameDecoder::Next() {
  if (error_) return *error_;
  const std::string_view bytes = std::string_view(buffer_).substr(consumed_);
  if (bytes.size() < kHeaderBytes) return std::optional<Frame>();
  const std::uint32_t length = GetU32(bytes);
  const auto type = static_cast<std::uint8_t>(bytes[4]);
  const auto stream = static_cast<std::uint8_t>(bytes[5]);
  const auto fail = [this](std::string message) {
    error_ = MakeError(ErrorCode::kProtocol, std::move(message));
    buffer_.clear();
    consumed_ = 0;
    return *error_;
  };
  if (!IsKnown(type)) return fail(fmt::format("unknown frame type {}", type));
  const auto frame_type = static_cast<FrameType>(type);
  if (bytes[6] != 0 || bytes[7] != 0 ||
      stream >
          static_cast<std::uint8_t>(HasStream(frame_type) ? Stream::kStderr : Stream::kStdin)) {
    return fail("malformed frame header");
  }
  if (length > Limit(frame_type)) return fail(fmt::format("frame of {} bytes is too long", length));
  if (bytes.size() < kHeaderBytes + length) return std::optional<Frame>();
  Frame frame;
  frame.type = frame_type;
  frame.stream = static_cast<Stream>(stream);
  frame.channel = GetU32(bytes.substr(8));
  frame.payload = bytes.substr(kHeaderBytes, length);
  consumed_ += kHeaderBytes + length;
  if (consumed_ == buffer_.size()) {
    buffer_.clear();
    consumed_ = 0;
  }
  return std::optional<Frame>(std::move(frame));
}

}  // namespace pyro::wire
