#include "supervisor/starting.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/build_id.h"
#include "base/text.h"
#include "base/try.h"
#include "supervisor/guest_pulse.h"
#include "sys/failpoint.h"
#include "sys/random.h"

namespace pyro::supervisor {
namespace {

using std::chrono::seconds;

constexpr seconds kWarmLimit{30};  // For a guest from a template; a boot may then still be tried.

// "pyro-" and the first characters behind the prefix of the id.
std::string HostName(const std::string& id) { return "pyro-" + id.substr(id.find('_') + 1, 8); }

// A guest whose machine had half of the time for itself has hung; otherwise the host was busy.
Error NoBoot(seconds limit, const vmm::MachineLook& look) {
  const bool hung = look.processor >= limit / 2;
  return MakeError(
      ErrorCode::kGuestUnavailable,
      fmt::format("the guest did not boot within {} s; {} took {} s of the host's processor",
                  limit.count(), look.monitor,
                  std::chrono::duration_cast<seconds>(look.processor).count()),
      hung ? "its kernel runs and gets nowhere: try another machine (--machine), and report this "
             "with the output of pyro doctor --json"
           : "give it more memory, or look for what keeps this host busy");
}

}  // namespace

void Starting::Begin() { Launch(parts_.templ.Find()); }

void Starting::Launch(std::optional<vmm::FrozenGuest> from) {
  const bool warm = parts_.templ.warm();
  const seconds limit = warm ? kWarmLimit : parts_.config.boot_timeout;
  limit_->Start(limit, [this, limit] { owner_.GuestFailed(NoBoot(limit, parts_.machine.Look())); });
  const Status status = parts_.machine.Launch(std::move(from));
  if (!status) return owner_.GuestFailed(status.error());
  // The agent has already said hello, to the maker of the template.
  if (warm) SetUp();
}

bool Starting::BootsInstead() {
  if (over_ || !parts_.templ.warm()) return false;
  parts_.templ.Failed();
  parts_.machine.Close();
  parts_.spare.StartOver();
  greeted_ = false;
  Tell("boot");
  // The failed part may be on the stack.
  boost::asio::post(loop_, [this] {
    if (!over_) Launch(std::nullopt);
  });
  return true;
}

Status Starting::Hello(const wire::Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Hello hello, wire::Hello::FromFrame(frame));
  if (greeted_) return MakeError(ErrorCode::kProtocol, "hello twice");
  if (hello.protocol != wire::kProtocolVersion || hello.build != BuildId()) {
    return MakeError(ErrorCode::kProtocol, fmt::format("the agent is of build '{}', not '{}'",
                                                       Printable(hello.build), BuildId()));
  }
  SetUp();
  return OkStatus();
}

void Starting::Tell(const std::string& phase) {
  phase_ = phase;
  parts_.clients.Broadcast(wire::Progress{phase}.ToFrame());
}

void Starting::SetUp() {
  greeted_ = true;
  PYRO_FAILPOINT("supervisor.agent-greeted");
  Tell("setup");
  wire::Hello answer;
  answer.role = "supervisor";
  answer.build = BuildId();
  parts_.machine.Send(EncodeFrame(answer.ToFrame()));
  wire::GuestSetup setup;
  setup.hostname = HostName(parts_.config.id);
  setup.entropy = sys::RandomBytes(64);
  setup.wall_clock_ns = WallClockNs(parts_.clock);
  setup.network = parts_.machine.network();
  setup.data_disk_bytes = parts_.machine.new_disk_size();
  setup.workspace_user = parts_.config.workspace_user;
  setup.stop_signal = parts_.config.stop_signal;
  setup.certificate = parts_.machine.certificate();
  for (const SecretValue& secret : parts_.config.secrets) {
    setup.variables[secret.name] = secret.placeholder;
  }
  parts_.machine.Send(EncodeFrame(setup.ToFrame()));
}

Status Starting::Ready(const wire::Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(wire::Ready ready, wire::Ready::FromFrame(frame));
  if (!greeted_ || over_) return MakeError(ErrorCode::kProtocol, "ready at the wrong time");
  if (!parts_.spare.waiting()) {
    GuestIsReady(std::move(ready));
  } else if (!parts_.spare.warming_up()) {
    parts_.machine.Send(parts_.spare.WarmUp(std::move(ready)));
  }
  return OkStatus();
}

Status Starting::WarmUp(const wire::Frame& frame) {
  if (!parts_.spare.warming_up()) {
    return MakeError(ErrorCode::kProtocol, "a command's frame before any command");
  }
  PYRO_ASSIGN_OR_RETURN(std::optional<wire::Ready> ready, parts_.spare.FromAgent(frame));
  if (ready) GuestIsReady(*std::move(ready));
  return OkStatus();
}

void Starting::GuestIsReady(wire::Ready ready) {
  End();
  done_ = true;
  ready.kernel = Printable(ready.kernel, 100);
  ready.execution_mode = ExecutionMode::kGuestVirtioSerial;
  ready.accelerator = parts_.config.accelerator;
  ready.start = parts_.templ.warm() ? "template" : "boot";
  ready.machine_at_us = parts_.machine.started_at_us();
  ready_ = std::move(ready);
  owner_.GuestIsReady();
}

void Starting::Claimed() {
  ready_.start = "spare";
  ready_.machine_at_us = 0;
}

void Starting::End() {
  over_ = true;
  limit_->Stop();
}

}  // namespace pyro::supervisor
