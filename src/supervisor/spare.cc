#include "supervisor/spare.h"

#include <chrono>
#include <utility>

#include "sys/failpoint.h"

namespace pyro::supervisor {
namespace {

constexpr std::uint32_t kWarmUpChannel = 1;  // Free again before the first client's command.
constexpr std::chrono::milliseconds kRefillDelay{5};  // For the command to reach the guest.

}  // namespace

std::string Spare::WarmUp(wire::Ready ready) {
  warming_up_ = std::move(ready);
  wire::Exec exec;
  exec.argv = {"/bin/true"};
  exec.cwd = "/";
  return EncodeFrame(exec.ToFrame(kWarmUpChannel)) +
         wire::EncodeEof(kWarmUpChannel, wire::Stream::kStdin);
}

Result<std::optional<wire::Ready>> Spare::FromAgent(const wire::Frame& frame) {
  if (frame.channel != kWarmUpChannel) {
    return MakeError(ErrorCode::kProtocol, "a command's frame before any command");
  }
  // Any end will do: an environment need not have the program.
  if (frame.type != wire::FrameType::kExited && frame.type != wire::FrameType::kError) {
    return std::optional<wire::Ready>();
  }
  return std::exchange(warming_up_, std::nullopt);
}

void Spare::Claim() {
  record_.Taken();
  PYRO_FAILPOINT("spare.taken");
  Took();
}

Status Spare::ClaimForTask(const std::string& manifest, const wire::Ready& ready,
                           const std::optional<wire::GuestNetwork>& network) {
  Took();
  return record_.TakenForTask(manifest, ready, network);
}

void Spare::Took() {
  waiting_ = false;
  wants_refill_ = true;
  refill_delay_->Start(kRefillDelay, [this] { Refill(); });
}

void Spare::GuestEnded() {
  refill_delay_->Stop();
  Refill();
}

void Spare::Refill() {
  if (std::exchange(wants_refill_, false)) helpers_.StartSpareFiller(config_);
}

}  // namespace pyro::supervisor
