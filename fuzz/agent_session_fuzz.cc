// Bytes of a hostile host against the agent's session, with a guest in which everything works and
// commands that talk, listen and end as the input says.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "agent/session.h"
#include "base/check.h"

namespace {

using pyro::wire::Stream;

class FuzzGuest : public pyro::agent::Guest {
 public:
  pyro::Status Setup(const pyro::wire::GuestSetup&) override { return pyro::OkStatus(); }
  pyro::agent::ClockReading ReadClock() override { return {1, false}; }
  void MoveClock(const pyro::wire::SetClock&) override {}
  std::string Shell() override { return "/bin/sh"; }
  pyro::Status Start(std::uint32_t channel, const pyro::wire::Exec&) override {
    PYRO_CHECK(running.insert(channel).second);
    return pyro::OkStatus();
  }
  bool Kill(std::uint32_t channel) override {
    PYRO_CHECK(running.contains(channel));
    return channel % 2 == 0;
  }

  pyro::Status Ask(std::uint32_t, const pyro::wire::Ask& ask) override {
    if (ask.question == "known") return pyro::OkStatus();
    return pyro::MakeError(pyro::ErrorCode::kNotFound, "not known");
  }

  std::set<std::uint32_t> running;
};

// One step of every running command, chosen by `choice`.
void Step(pyro::agent::Session& session, FuzzGuest& guest, unsigned choice) {
  for (auto it = guest.running.begin(); it != guest.running.end();) {
    const std::uint32_t channel = *it++;
    const Stream stream = choice % 2 == 0 ? Stream::kStdout : Stream::kStderr;
    if (const auto room = session.OutputRoom(channel, stream); room.data != nullptr) {
      room.data[room.bytes - 1] = 'x';
      session.OutputRead(channel, stream, room.bytes);
    }
    if (choice % 3 == 0) session.InputTaken(channel, session.Input(channel).size());
    if (choice % 7 == 1) session.InputRefused(channel);
    (void)session.InputEnded(channel);
    if (choice % 5 == 2) {
      session.OutputEnded(channel, Stream::kStdout);
      session.OutputEnded(channel, Stream::kStderr);
      guest.running.erase(channel);
      session.Ended(channel, {choice % 2 == 0, 9}, choice);
    }
  }
  if (choice % 2 == 1) session.outgoing().Clear();
}

std::string Opening() {
  pyro::wire::GuestSetup setup;
  setup.entropy = std::string(32, 'x');
  pyro::wire::Exec exec;
  exec.argv = {"x"};
  exec.cwd = "/";
  return pyro::wire::EncodeFrame(
             pyro::wire::Hello{pyro::wire::kProtocolVersion, "supervisor", "b", ""}.ToFrame()) +
         pyro::wire::EncodeFrame(setup.ToFrame()) + pyro::wire::EncodeFrame(exec.ToFrame(1)) +
         pyro::wire::EncodeFrame(exec.ToFrame(2));
}

}  // namespace

// The first byte says how far the conversation is already (so that inputs need not find the magic
// of a hello first), the second how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string opening = Opening();
  if (size < 2) return 0;
  FuzzGuest guest;
  pyro::agent::Session session(guest, "b", "k");
  session.Begin();
  if (data[0] % 4 != 0) session.Receive(opening);
  const std::size_t cut = 1 + data[1];
  unsigned choice = data[0];
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  while (!rest.empty()) {
    if (session.MayReceive()) session.Receive(rest.substr(0, cut));
    rest.remove_prefix(std::min(cut, rest.size()));
    Step(session, guest, choice++);
  }
  return 0;
}
