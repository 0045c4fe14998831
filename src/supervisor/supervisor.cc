#include "supervisor/supervisor.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "base/try.h"
#include "sys/failpoint.h"

namespace pyro::supervisor {
namespace {

constexpr std::size_t kMaxGuestText = 1000;

Mask MaskOf(const wire::SupervisorConfig& config) {
  Mask mask;
  for (const SecretValue& secret : config.secrets) mask.Add(secret.name, secret.value);
  return mask;
}

}  // namespace

Supervisor::Supervisor(boost::asio::io_context& loop, wire::SupervisorConfig config,
                       const Seams& seams)
    : loop_(loop),
      config_(std::move(config)),
      record_(seams.record),
      machine_(loop, config_, seams.vmm, seams.timers, *this),
      clients_(loop, *this),
      spare_(config_, record_, seams.timers, seams.helpers),
      template_(config_, seams.timers, seams.helpers, [this] { return Idle(); }),
      lease_(loop, config_, record_, spare_, seams.timers, *this),
      starting_(loop,
                {.config = config_,
                 .clock = seams.clock,
                 .machine = machine_,
                 .clients = clients_,
                 .templ = template_,
                 .spare = spare_},
                seams.timers, *this),
      serving_({.loop = loop,
                .clock = seams.clock,
                .machine = machine_,
                .clients = clients_,
                .journal = record_.journal(),
                .mask = MaskOf(config_)},
               seams.timers, *this),
      ending_({.machine = machine_,
               .record = record_,
               .clients = clients_,
               .serving = serving_,
               .starting = starting_,
               .lease = lease_,
               .templ = template_,
               .spare = spare_},
              seams.timers) {}

void Supervisor::Start() {
  lease_.Begin();
  boost::asio::post(loop_, [this] {
    if (!ending_.begun()) starting_.Begin();
  });
}

// --- The guest

// The door for every frame of the guest, from its first to its last.
Status Supervisor::FromAgent(wire::Frame frame) {
  if (ending_.begun()) return OkStatus();
  // What was refused belongs to the command that ends now.
  if (frame.type == wire::FrameType::kExited) machine_.TakeDenials();
  if (frame.channel != 0) {
    return starting_.done() ? serving_.router().FromGuest(std::move(frame))
                            : starting_.WarmUp(frame);
  }
  switch (frame.type) {
    case wire::FrameType::kHello:
      return starting_.Hello(frame);
    case wire::FrameType::kReady:
      return starting_.Ready(frame);
    case wire::FrameType::kPong:
      return serving_.Pong(frame);
    case wire::FrameType::kError:
      GuestFailed(MakeError(
          ErrorCode::kGuestUnavailable,
          (starting_.done() ? "the guest's agent has ended: " : "the guest could not start: ") +
              Printable(wire::ErrorFromFrame(frame).message, kMaxGuestText)));
      return OkStatus();
    default:
      return MakeError(ErrorCode::kProtocol, "an unexpected frame");
  }
}

void Supervisor::Denied(const net::Denial& denial) {
  record_.Deny({.host = denial.name.empty() ? net::FormatAddress(denial.address) : denial.name,
                .address = denial.address.none() ? "" : net::FormatAddress(denial.address),
                .port = denial.port,
                .protocol = denial.protocol,
                .reason = std::string(net::Name(denial.reason)),
                .why = std::string(net::Sentence(denial.reason)),
                .rule = net::RuleFor(denial),
                .count = denial.count});
}

void Supervisor::MachineEnded() {
  if (ending_.stopping()) return ending_.GuestIsOff();
  const char* when =
      starting_.done() ? "the guest is gone: " : "the guest ended while it started: ";
  GuestFailed(MakeError(ErrorCode::kGuestUnavailable, when + machine_.HowItEnded()));
}

void Supervisor::ChannelClosed() {
  if (ending_.begun()) return;
  GuestFailed(MakeError(ErrorCode::kGuestUnavailable, "the guest has closed its channel"));
}

void Supervisor::GuestIsReady() {
  const wire::Ready& ready = starting_.ready();
  const bool ends_with_client = lease_.ends_with_client();
  template_.GuestIsReady(ends_with_client);
  // The registry says that the VM is started before a client hears of it. After a failure the row
  // is out of date; the lock still says that this guest is alive.
  if (!ends_with_client && !spare_.waiting()) {
    PYRO_FAILPOINT("supervisor.guest-ready");
    (void)record_.Started(ready, machine_.network());
    PYRO_FAILPOINT("supervisor.start-recorded");
  }
  lease_.GuestIsReady();
  serving_.Begin();
  if (!spare_.waiting()) clients_.Broadcast(starting_.Told());
  if (on_ready_) on_ready_();
  for (const ClientId client : serving_.router().GuestReady(ready.shell)) {
    if (clients_.Refuse(client, MakeError(ErrorCode::kProtocol, "protocol violated"))) {
      ClientGone(client);
    }
  }
  // No client waits for this row, and the commands are already on their way: the write may take
  // time.
  if (ends_with_client) (void)record_.Started(ready, machine_.network());
}

// --- Clients

void Supervisor::ClientGreeted(ClientId client) {
  if (spare_.waiting()) return;
  lease_.ClientGreeted(client);
  if (ending_.failure()) {
    boost::asio::post(loop_, [this] { ending_.ConcludeFailure(); });
  } else if (!ending_.begun()) {
    clients_.Send(client, EncodeFrame(starting_.Told()));
  }
}

Status Supervisor::FromClient(ClientId client, wire::Frame frame) {
  if (spare_.waiting()) return MakeError(ErrorCode::kWrongState, "this guest is not yours yet");
  return serving_.router().FromClient(client, std::move(frame));
}

Status Supervisor::StopAsked(const wire::Stop& stop) {
  if (stop.only_spare && !spare_.waiting()) {
    return MakeError(ErrorCode::kWrongState, "this guest has an owner");
  }
  Stop(stop.remove || spare_.waiting());
  return OkStatus();
}

Status Supervisor::ClaimAsked(ClientId client, const wire::Claim& claim) {
  if (!spare_.waiting() || !starting_.done() || ending_.begun()) {
    return MakeError(ErrorCode::kWrongState, "this guest has another owner");
  }
  starting_.Claimed();
  const bool for_task = !claim.task.empty();
  if (for_task) {
    Status made = spare_.ClaimForTask(claim.task, starting_.ready(), machine_.network());
    if (!made) {
      boost::asio::post(loop_, [this] { Stop(true); });
      return made;
    }
    serving_.Keep(record_.journal());
  } else {
    spare_.Claim();
  }
  lease_.Claimed(client, std::chrono::seconds(claim.ttl_seconds), for_task);
  clients_.Send(client, EncodeFrame(wire::Plain(wire::FrameType::kClaimed)));
  clients_.Send(client, EncodeFrame(starting_.Told()));
  return OkStatus();
}

// The registry has them, so that of two changes at once the later one holds.
Status Supervisor::NetworkRulesAsked(ClientId client) {
  if (spare_.waiting()) return MakeError(ErrorCode::kWrongState, "this guest is not yours yet");
  PYRO_ASSIGN_OR_RETURN(const std::string rules, record_.NetworkRulesNow());
  PYRO_RETURN_IF_ERROR(machine_.SetNetworkRules(rules));
  clients_.Send(client, EncodeFrame(wire::Plain(wire::FrameType::kNetRuled)));
  return OkStatus();
}

void Supervisor::ClientGone(ClientId client) {
  if (!clients_.Forget(client) || ending_.ended()) return;
  serving_.router().ClientGone(client);
  lease_.ClientGone(client);
}

// --- The lease

void Supervisor::CommandsChanged(bool journaled) {
  if (!ending_.begun()) lease_.Used(journaled);
}

}  // namespace pyro::supervisor
