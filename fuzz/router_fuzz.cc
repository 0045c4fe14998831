// A hostile guest and a hostile client at once: the router must keep its accounts for all that both
// send.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "supervisor/command_router.h"
#include "supervisor/testing/fake_timers.h"
#include "wire/frame.h"

namespace {

using namespace pyro;

void Feed(wire::FrameDecoder& decoder, std::string_view bytes, const auto& handle) {
  decoder.Append(bytes);
  while (true) {
    auto frame = decoder.Next();
    if (!frame || !*frame || !handle(std::move(**frame))) return;
  }
}

wire::Frame ExecOn(std::uint32_t channel, bool open_stdin = false) {
  wire::Exec exec;
  exec.journal = exec.open_stdin = open_stdin;
  exec.argv = {"true"};
  exec.cwd = "/";
  exec.timeout_ms = 1000;
  return exec.ToFrame(channel);
}

// Takes all frames and counts those of the clients.
class FuzzPorts : public supervisor::CommandPorts {
 public:
  void ToGuest(std::string) override {}
  void ToClient(supervisor::ClientId, std::string bytes) override { to_clients += bytes.size(); }
  void GivingUp() override {}
  void JournalWritten() override {}
  void UseChanged(bool) override {}

  std::size_t to_clients = 0;
};

// Keeps no output.
class FuzzJournal : public supervisor::CommandJournal {
 public:
  Result<std::int64_t> Begin(const wire::Exec&) override { return ++recorded_; }
  void Append(std::int64_t, OutputStream, std::string_view) override {}
  void End(std::int64_t, const CommandEnd&) override {}
  bool settled() const override { return true; }
  void Settle() override {}

 private:
  std::int64_t recorded_ = 0;
};

}  // namespace

// The first byte of each 32-byte piece says who sends the rest of it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzPorts ports;
  supervisor::FakeTimers timers;
  FuzzJournal journal;
  supervisor::CommandRouter router(ports, timers, &journal);
  PYRO_CHECK(router.FromClient(1, ExecOn(1)).ok());
  PYRO_CHECK(router.FromClient(2, ExecOn(1)).ok());
  (void)router.GuestReady("/bin/sh");
  // Command 1 of the journal has a stdin for any client. The fifth write waits for credit.
  PYRO_CHECK(router.FromClient(3, ExecOn(1, true)).ok());
  router.ClientGone(3);
  // That many bytes are slow to read, so few inputs have them.
  const int writes = size > 0 && data[0] >= 0xf0 ? 5 : 0;
  for (int i = 0; i < writes; ++i) {
    const std::string piece(wire::kMaxDataBytes, 'x');
    PYRO_CHECK(router.FromClient(2, wire::Write{1, piece, i == 4}.ToFrame(2)).ok());
  }
  wire::FrameDecoder guest;
  wire::FrameDecoder client;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  while (!bytes.empty()) {
    const int who = bytes[0] & 3;
    bytes.remove_prefix(1);
    const std::string_view piece = bytes.substr(0, 31);
    bytes.remove_prefix(piece.size());
    if (who < 2) {
      Feed(guest, piece,
           [&](wire::Frame frame) { return router.FromGuest(std::move(frame)).ok(); });
    } else if (who == 2) {
      Feed(client, piece,
           [&](wire::Frame frame) { return router.FromClient(1, std::move(frame)).ok(); });
    } else {
      timers.Advance(std::chrono::seconds(piece.starts_with('g') ? 10 : 1));
    }
  }
  router.ClientGone(1);
  router.GuestGone();
  PYRO_CHECK(router.idle());
  return 0;
}
