#include "wire/messages.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::wire {
namespace {

constexpr std::size_t kMaxName = 256;
constexpr std::int64_t kMaxClaimSeconds = 10LL * 366 * 24 * 3600;

Frame Message(FrameType type, std::uint32_t channel, const Json& body) {
  Frame frame;
  frame.type = type;
  frame.channel = channel;
  frame.payload = ToCbor(body);
  return frame;
}

Error Malformed(std::string_view what) {
  return MakeError(ErrorCode::kProtocol, fmt::format("malformed message: {}", what));
}

// The name of Outcome::kInterrupted in a frame.
constexpr std::string_view kLost = "lost";

Json NetworkToJson(const GuestNetwork& network) {
  return {{"mac", network.mac},
          {"address", network.address},
          {"prefix_length", network.prefix_length},
          {"gateway", network.gateway},
          {"dns", network.dns},
          {"mtu", network.mtu}};
}

Result<GuestNetwork> NetworkFromJson(const Json& json) {
  GuestNetwork network;
  PYRO_ASSIGN_OR_RETURN(network.mac, GetString(json, "mac", 17));
  PYRO_ASSIGN_OR_RETURN(network.address, GetString(json, "address", 15));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t prefix, GetInt(json, "prefix_length", 1, 32));
  PYRO_ASSIGN_OR_RETURN(network.gateway, GetString(json, "gateway", 15));
  PYRO_ASSIGN_OR_RETURN(network.dns, GetString(json, "dns", 15));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t mtu, GetInt(json, "mtu", 576, 65535));
  network.prefix_length = static_cast<int>(prefix);
  network.mtu = static_cast<int>(mtu);
  return network;
}

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

Status CheckWord(const std::string& word) {
  if (word.size() >= kMaxArgumentBytes) return Malformed("an argument is too long");
  if (HasNul(word)) return Malformed("an argument has a NUL byte");
  return OkStatus();
}

}  // namespace

Result<Json> DecodeObject(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(Json json,
                        ParseCbor({reinterpret_cast<const std::uint8_t*>(frame.payload.data()),
                                   frame.payload.size()}));
  if (!json.is_object()) return Malformed("not a map");
  return json;
}

Frame Hello::ToFrame() const {
  return Message(FrameType::kHello, 0,
                 {{"protocol", protocol}, {"role", role}, {"build", build}, {"kernel", kernel}});
}

Result<Hello> Hello::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Hello hello;
  PYRO_ASSIGN_OR_RETURN(const std::int64_t protocol, GetInt(json, "protocol", 0, INT_MAX));
  PYRO_ASSIGN_OR_RETURN(hello.role, GetString(json, "role", kMaxName));
  PYRO_ASSIGN_OR_RETURN(hello.build, GetString(json, "build", kMaxName));
  PYRO_ASSIGN_OR_RETURN(hello.kernel, GetString(json, "kernel", kMaxName));
  hello.protocol = static_cast<int>(protocol);
  return hello;
}

Frame GuestSetup::ToFrame() const {
  Json body = {{"hostname", hostname},
               {"entropy", Json::binary({entropy.begin(), entropy.end()})},
               {"wall_clock_ns", wall_clock_ns}};
  if (network) body["network"] = NetworkToJson(*network);
  return Message(FrameType::kSetup, 0, body);
}

Result<GuestSetup> GuestSetup::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  GuestSetup setup;
  PYRO_ASSIGN_OR_RETURN(setup.hostname, GetString(json, "hostname", 64));
  PYRO_ASSIGN_OR_RETURN(setup.wall_clock_ns, GetInt(json, "wall_clock_ns", 0, INT64_MAX));
  const auto entropy = json.find("entropy");
  if (entropy == json.end() || !entropy->is_binary() || entropy->get_binary().size() < 32 ||
      entropy->get_binary().size() > 256) {
    return Malformed("'entropy' is not 32 to 256 bytes");
  }
  setup.entropy.assign(entropy->get_binary().begin(), entropy->get_binary().end());
  if (json.contains("network")) {
    PYRO_ASSIGN_OR_RETURN(setup.network, NetworkFromJson(json["network"]));
  }
  return setup;
}

Frame Ready::ToFrame() const {
  return Message(FrameType::kReady, 0,
                 {{"kernel", kernel},
                  {"execution_mode", Name(execution_mode)},
                  {"accelerator", accelerator},
                  {"start", start},
                  {"shell", shell},
                  {"machine_at_us", machine_at_us}});
}

Result<Ready> Ready::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Ready ready;
  PYRO_ASSIGN_OR_RETURN(ready.kernel, GetString(json, "kernel", kMaxName));
  PYRO_ASSIGN_OR_RETURN(const std::string mode, GetString(json, "execution_mode", kMaxName));
  const auto known = FromName<ExecutionMode>(mode);
  if (!known) return Malformed("unknown execution mode");
  ready.execution_mode = *known;
  PYRO_ASSIGN_OR_RETURN(ready.accelerator, GetString(json, "accelerator", kMaxName));
  PYRO_ASSIGN_OR_RETURN(ready.start, GetString(json, "start", kMaxName));
  PYRO_ASSIGN_OR_RETURN(ready.machine_at_us, GetInt(json, "machine_at_us", 0, INT64_MAX));
  // An earlier supervisor knows of no other than the default.
  if (json.contains("shell")) {
    PYRO_ASSIGN_OR_RETURN(ready.shell, GetString(json, "shell", kMaxName));
  }
  if (std::find(kShells.begin(), kShells.end(), ready.shell) == kShells.end()) {
    return Malformed("'shell' is no shell that is known");
  }
  return ready;
}

Frame Exec::ToFrame(std::uint32_t channel) const {
  return Message(FrameType::kExec, channel,
                 {{"argv", argv},
                  {"env", env},
                  {"cwd", cwd},
                  {"timeout_ms", timeout_ms},
                  {"sync", sync},
                  {"journal", journal},
                  {"script", script}});
}

Result<Exec> Exec::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Exec exec;
  const auto argv = json.find("argv");
  if (argv == json.end() || !argv->is_array() || argv->empty() || argv->size() > kMaxArguments) {
    return Malformed(fmt::format("'argv' is not a list of 1 to {} words", kMaxArguments));
  }
  for (const Json& word : *argv) {
    if (!word.is_string()) return Malformed("'argv' holds something else than words");
    exec.argv.push_back(word.get<std::string>());
    PYRO_RETURN_IF_ERROR(CheckWord(exec.argv.back()));
  }
  const auto env = json.find("env");
  if (env == json.end() || !env->is_object() || env->size() > kMaxArguments) {
    return Malformed("'env' is not a map");
  }
  for (const auto& [name, value] : env->items()) {
    if (!value.is_string() || name.empty() || name.find('=') != std::string::npos) {
      return Malformed("'env' holds something else than variables");
    }
    exec.env[name] = value.get<std::string>();
    PYRO_RETURN_IF_ERROR(CheckWord(name));
    PYRO_RETURN_IF_ERROR(CheckWord(exec.env[name]));
  }
  PYRO_ASSIGN_OR_RETURN(exec.cwd, GetString(json, "cwd", 4095));
  if (!exec.cwd.starts_with('/') || HasNul(exec.cwd))
    return Malformed("'cwd' is not an absolute path");
  PYRO_ASSIGN_OR_RETURN(exec.timeout_ms, GetInt(json, "timeout_ms", 0, kMaxTimeoutMs));
  PYRO_ASSIGN_OR_RETURN(exec.sync, GetBool(json, "sync"));
  PYRO_ASSIGN_OR_RETURN(exec.journal, GetBool(json, "journal"));
  if (json.contains("script")) {  // An earlier client does not say.
    PYRO_ASSIGN_OR_RETURN(exec.script, GetBool(json, "script"));
  }
  return exec;
}

Frame Exited::ToFrame(std::uint32_t channel) const {
  return Message(FrameType::kExited, channel,
                 {{"outcome", outcome == Outcome::kInterrupted ? kLost : Name(outcome)},
                  {"code", code},
                  {"duration_us", duration_us},
                  {"stdout_bytes", stdout_bytes},
                  {"stderr_bytes", stderr_bytes},
                  {"output_left_open", output_left_open}});
}

Result<Exited> Exited::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Exited exited;
  PYRO_ASSIGN_OR_RETURN(const std::string name, GetString(json, "outcome", kMaxName));
  const auto outcome = name == kLost ? Outcome::kInterrupted : FromName<Outcome>(name);
  if (!outcome) return Malformed("unknown outcome");
  exited.outcome = *outcome;
  PYRO_ASSIGN_OR_RETURN(const std::int64_t code, GetInt(json, "code", 0, 255));
  exited.code = static_cast<int>(code);
  PYRO_ASSIGN_OR_RETURN(exited.duration_us, GetInt(json, "duration_us", 0, INT64_MAX));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t out, GetInt(json, "stdout_bytes", 0, INT64_MAX));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t err, GetInt(json, "stderr_bytes", 0, INT64_MAX));
  exited.stdout_bytes = static_cast<std::uint64_t>(out);
  exited.stderr_bytes = static_cast<std::uint64_t>(err);
  if (json.contains("output_left_open")) {  // An earlier supervisor does not say.
    PYRO_ASSIGN_OR_RETURN(exited.output_left_open, GetBool(json, "output_left_open"));
  }
  return exited;
}

Frame Kill::ToFrame(std::uint32_t channel) const {
  return Message(FrameType::kKill, channel,
                 {{"reason", reason == KillReason::kTimedOut ? "timed_out" : "cancelled"}});
}

Result<Kill> Kill::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  PYRO_ASSIGN_OR_RETURN(const std::string reason, GetString(json, "reason", kMaxName));
  if (reason == "timed_out") return Kill{KillReason::kTimedOut};
  if (reason == "cancelled") return Kill{KillReason::kCancelled};
  return Malformed("unknown reason");
}

Frame ErrorFrame(std::uint32_t channel, const Error& error) {
  return Message(FrameType::kError, channel,
                 {{"code", static_cast<int>(error.code)},
                  {"message", error.message.substr(0, 4096)},
                  {"hint", error.hint.substr(0, 4096)}});
}

Error ErrorFromFrame(const Frame& frame) {
  const auto json = DecodeObject(frame);
  if (!json) return json.error();
  const auto code = GetInt(*json, "code", 0, INT_MAX);
  auto message = GetString(*json, "message", 4096);
  auto hint = GetString(*json, "hint", 4096);
  if (!code || !message || !hint) return Malformed("an error without its parts");
  return MakeError(ErrorCodeFromNumber(static_cast<int>(*code)).value_or(ErrorCode::kInternal),
                   std::move(*message), std::move(*hint));
}

Frame Accepted::ToFrame(std::uint32_t channel) const {
  return Message(FrameType::kAccepted, channel, {{"sequence", sequence}});
}

Result<Accepted> Accepted::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Accepted accepted;
  PYRO_ASSIGN_OR_RETURN(accepted.sequence, GetInt(json, "sequence", 1, INT64_MAX));
  return accepted;
}

Frame Cancel::ToFrame(std::uint32_t channel) const {
  return Message(FrameType::kCancel, channel, {{"sequence", sequence}});
}

Result<Cancel> Cancel::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Cancel cancel;
  PYRO_ASSIGN_OR_RETURN(cancel.sequence, GetInt(json, "sequence", 1, INT64_MAX));
  return cancel;
}

Frame Stop::ToFrame() const { return Message(FrameType::kStop, 0, {{"remove", remove}}); }

Result<Stop> Stop::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Stop stop;
  PYRO_ASSIGN_OR_RETURN(stop.remove, GetBool(json, "remove"));
  return stop;
}

Frame Claim::ToFrame() const {
  return Message(FrameType::kClaim, 0, {{"ttl_seconds", ttl_seconds}});
}

Result<Claim> Claim::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Claim claim;
  PYRO_ASSIGN_OR_RETURN(claim.ttl_seconds, GetInt(json, "ttl_seconds", 1, kMaxClaimSeconds));
  return claim;
}

Frame Progress::ToFrame() const { return Message(FrameType::kProgress, 0, {{"phase", phase}}); }

Result<Progress> Progress::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Progress progress;
  PYRO_ASSIGN_OR_RETURN(progress.phase, GetString(json, "phase", kMaxName));
  return progress;
}

Frame Ping::ToFrame(FrameType type) const { return Message(type, 0, {{"number", number}}); }

Result<Ping> Ping::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Ping ping;
  PYRO_ASSIGN_OR_RETURN(ping.number, GetInt(json, "number", 0, INT64_MAX));
  return ping;
}

Frame SetClock::ToFrame() const {
  return Message(FrameType::kSetClock, 0, {{"wall_clock_ns", wall_clock_ns}});
}

Result<SetClock> SetClock::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  SetClock clock;
  PYRO_ASSIGN_OR_RETURN(clock.wall_clock_ns, GetInt(json, "wall_clock_ns", 0, INT64_MAX));
  return clock;
}

Frame Plain(FrameType type, std::uint32_t channel) {
  return Message(type, channel, Json::object());
}

}  // namespace pyro::wire
