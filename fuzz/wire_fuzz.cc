// Every frame and message of docs/PROTOCOL.md, as bytes from a hostile peer; and the supervisor's
// configuration.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "wire/answers.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/supervisor_config.h"

namespace {

using namespace pyro;

// What is accepted must survive being sent again.
template <typename Message>
void Try(const wire::Frame& frame) {
  auto message = Message::FromFrame(frame);
  if (!message) return;
  wire::Frame again;
  if constexpr (requires { message->ToFrame(); }) {
    again = message->ToFrame();
  } else {
    again = message->ToFrame(frame.channel);
  }
  PYRO_CHECK(Message::FromFrame(again).ok());
}

template <typename... Answer>
void TryAnswers(const wire::Frame& frame, wire::AnswerList<Answer...>) {
  (..., [&] {
    const auto answer = wire::ReadAnswer<Answer>(frame);
    if (answer) PYRO_CHECK(wire::ReadAnswer<Answer>(wire::AnswerFrame(1, *answer)).ok());
  }());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)wire::ParseSupervisorConfig(bytes);
  (void)wire::ParseAnswer(bytes);
  wire::FrameDecoder decoder;
  decoder.Append(bytes);
  while (true) {
    auto frame = decoder.Next();
    if (!frame || !*frame) return 0;
    const wire::Frame& one = **frame;
    (void)wire::DecodeCredit(one);
    (void)wire::ErrorFromFrame(one);
    Try<wire::Hello>(one);
    Try<wire::GuestSetup>(one);
    Try<wire::Ready>(one);
    Try<wire::Exec>(one);
    Try<wire::Exited>(one);
    Try<wire::Kill>(one);
    Try<wire::Accepted>(one);
    Try<wire::Cancel>(one);
    Try<wire::Write>(one);
    Try<wire::Stop>(one);
    Try<wire::Claim>(one);
    Try<wire::Ping>(one);
    Try<wire::Pong>(one);
    Try<wire::SetClock>(one);
    Try<wire::Progress>(one);
    Try<wire::Ask>(one);
    TryAnswers(one, wire::Answers{});
  }
}
