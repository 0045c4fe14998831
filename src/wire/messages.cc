#include "wire/messages.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "base/fields.h"
#include "base/try.h"

namespace pyro::wire {
namespace {

constexpr std::int64_t kMaxName = 256;
constexpr std::int64_t kMaxManifest = 64 * 1024;
constexpr std::int64_t kMaxClaimSeconds = 10LL * 366 * 24 * 3600;

Frame Message(FrameType type, std::uint32_t channel, const Json& body) {
  Frame frame;
  frame.type = type;
  frame.channel = channel;
  frame.payload = ToCbor(body);
  return frame;
}

Frame Pack(FrameType type, std::uint32_t channel, std::span<const Field> rows,
           const void* message) {
  return Message(type, channel, FieldsToJson(rows, message));
}

template <typename T>
Result<T> Unpack(const Frame& frame, std::span<const Field> rows) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  T message;
  PYRO_RETURN_IF_ERROR(ReadFields(rows, json, &message));
  return message;
}

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

Status CheckWord(const std::string& word) {
  if (word.size() >= kMaxArgumentBytes) return MalformedMessage("an argument is too long");
  if (HasNul(word)) return MalformedMessage("an argument has a NUL byte");
  return OkStatus();
}

// In a frame, an interrupted command is lost.
std::string_view OutcomeInFrame(std::int64_t value) {
  const auto outcome = static_cast<Outcome>(value);
  return outcome == Outcome::kInterrupted ? "lost" : Name(outcome);
}

constexpr Field kHello[] = {
    Row<Hello, &Hello::protocol>("protocol"),
    Row<Hello, &Hello::role>("role").To(kMaxName),
    Row<Hello, &Hello::build>("build").To(kMaxName),
    Row<Hello, &Hello::kernel>("kernel").To(kMaxName),
};
constexpr Field kNetwork[] = {
    Row<GuestNetwork, &GuestNetwork::mac>("mac").To(17),
    Row<GuestNetwork, &GuestNetwork::address>("address").To(15),
    Row<GuestNetwork, &GuestNetwork::prefix_length>("prefix_length").From(1).To(32),
    Row<GuestNetwork, &GuestNetwork::gateway>("gateway").To(15),
    Row<GuestNetwork, &GuestNetwork::dns>("dns").To(15),
    Row<GuestNetwork, &GuestNetwork::mtu>("mtu").From(576).To(65535),
    Row<GuestNetwork, &GuestNetwork::address6>("address6").To(39).MayLack(),
    Row<GuestNetwork, &GuestNetwork::gateway6>("gateway6").To(39).MayLack(),
};
constexpr Field kSetup[] = {
    // And `entropy`, which is bytes.
    Row<GuestSetup, &GuestSetup::hostname>("hostname").To(64),
    Row<GuestSetup, &GuestSetup::wall_clock_ns>("wall_clock_ns"),
    Row<GuestSetup, &GuestSetup::network>("network").Of(kNetwork),
    Row<GuestSetup, &GuestSetup::data_disk_bytes>("data_disk_bytes").MayLack(),
    Row<GuestSetup, &GuestSetup::workspace_user>("workspace_user").To(kMaxUserBytes).MayLack(),
    Row<GuestSetup, &GuestSetup::stop_signal>("stop_signal").From(0).To(kMaxSignal).MayLack(),
    Row<GuestSetup, &GuestSetup::variables>("variables").To(kMaxGuestVariables).MayLack(),
    Row<GuestSetup, &GuestSetup::certificate>("certificate").To(kMaxCertificateBytes).MayLack(),
};
constexpr Field kReady[] = {
    Row<Ready, &Ready::kernel>("kernel").To(kMaxName),
    Row<Ready, &Ready::execution_mode>("execution_mode"),
    Row<Ready, &Ready::accelerator>("accelerator").To(kMaxName),
    Row<Ready, &Ready::start>("start").To(kMaxName),
    Row<Ready, &Ready::machine_at_us>("machine_at_us"),
    // An earlier supervisor knows of no other than the default.
    Row<Ready, &Ready::shell>("shell").To(kMaxName).MayLack(),
};
constexpr Field kExec[] = {
    // And `argv` and `env`.
    Row<Exec, &Exec::cwd>("cwd").To(kMaxPathBytes),
    Row<Exec, &Exec::user>("user").To(kMaxUserBytes).MayLack(),  // An earlier client does not say.
    Row<Exec, &Exec::timeout_ms>("timeout_ms").To(kMaxTimeoutMs),
    Row<Exec, &Exec::sync>("sync"),
    Row<Exec, &Exec::journal>("journal"),
    Row<Exec, &Exec::kept>("kept").MayLack(),          // An earlier client does not say.
    Row<Exec, &Exec::sequence>("sequence").MayLack(),  // A client does not say.
    Row<Exec, &Exec::script>("script").MayLack(),      // An earlier client does not say.
    Row<Exec, &Exec::open_stdin>("open_stdin").MayLack(),
    Row<Exec, &Exec::make_cwd>("make_cwd").MayLack(),
};
// A supervisor that knows of no users must refuse the command, not run it as root. One that would
// end its stdin must refuse it, too, and so must one that would keep its words.
const char* NameOfArgv(const Exec& exec) {
  if (!exec.kept) return "unkept_argv";
  if (exec.open_stdin) return "open_argv";
  return exec.user.empty() ? "argv" : "user_argv";
}

constexpr Field kExited[] = {
    Row<Exited, &Exited::outcome>("outcome").With(&Field::choice, &OutcomeInFrame),
    Row<Exited, &Exited::code>("code").To(255),
    Row<Exited, &Exited::duration_us>("duration_us"),
    Row<Exited, &Exited::stdout_bytes>("stdout_bytes"),
    Row<Exited, &Exited::stderr_bytes>("stderr_bytes"),
    // An earlier supervisor does not say.
    Row<Exited, &Exited::output_left_open>("output_left_open").MayLack(),
    Row<Exited, &Exited::disk_failed>("disk_failed").MayLack(),
    Row<Exited, &Exited::killed>("killed").Of(kKilledTreeFields),
};
constexpr Field kKill[] = {Row<Kill, &Kill::reason>("reason")};
constexpr Field kAccepted[] = {Row<Accepted, &Accepted::sequence>("sequence").From(1)};
constexpr Field kCancel[] = {Row<Cancel, &Cancel::sequence>("sequence").From(1)};
constexpr Field kWrite[] = {
    // And `bytes`.
    Row<Write, &Write::sequence>("sequence").From(1),
    Row<Write, &Write::close>("close"),
};
constexpr Field kAsk[] = {
    Row<Ask, &Ask::question>("question").To(kMaxName),
    Row<Ask, &Ask::sequence>("sequence").MayLack(),
    Row<Ask, &Ask::signal>("signal").To(64).MayLack(),
    Row<Ask, &Ask::first>("first").MayLack(),
};
constexpr Field kStop[] = {Row<Stop, &Stop::remove>("remove"),
                           Row<Stop, &Stop::only_spare>("only_spare").MayLack()};
constexpr Field kClaim[] = {
    Row<Claim, &Claim::ttl_seconds>("ttl_seconds").From(1).To(kMaxClaimSeconds),
    Row<Claim, &Claim::task>("task").To(kMaxManifest)};
constexpr Field kPing[] = {Row<Ping, &Ping::number>("number")};
constexpr Field kPong[] = {Row<Pong, &Pong::number>("number"),
                           Row<Pong, &Pong::wall_clock_ns>("wall_clock_ns").MayLack(),
                           Row<Pong, &Pong::clock_was_set>("clock_was_set").MayLack()};
// No clock is further away than its epoch.
constexpr Field kSetClock[] = {Row<SetClock, &SetClock::by_ns>("by_ns").From(-INT64_MAX),
                               Row<SetClock, &SetClock::slew>("slew")};
constexpr Field kProgress[] = {Row<Progress, &Progress::phase>("phase").To(kMaxName)};

}  // namespace

Result<Json> DecodeObject(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(Json json,
                        ParseCbor({reinterpret_cast<const std::uint8_t*>(frame.payload.data()),
                                   frame.payload.size()}));
  if (!json.is_object()) return MalformedMessage("not a map");
  return json;
}

Frame Hello::ToFrame() const { return Pack(FrameType::kHello, 0, kHello, this); }
Result<Hello> Hello::FromFrame(const Frame& frame) { return Unpack<Hello>(frame, kHello); }

Frame GuestSetup::ToFrame() const {
  Json body = FieldsToJson(kSetup, this);
  body["entropy"] = Json::binary({entropy.begin(), entropy.end()});
  return Message(FrameType::kSetup, 0, body);
}

Result<GuestSetup> GuestSetup::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  GuestSetup setup;
  PYRO_RETURN_IF_ERROR(ReadFields(kSetup, json, &setup));
  const auto entropy = json.find("entropy");
  if (entropy == json.end() || !entropy->is_binary() || entropy->get_binary().size() < 32 ||
      entropy->get_binary().size() > 256) {
    return MalformedMessage("'entropy' is not 32 to 256 bytes");
  }
  setup.entropy.assign(entropy->get_binary().begin(), entropy->get_binary().end());
  return setup;
}

Frame Ready::ToFrame() const { return Pack(FrameType::kReady, 0, kReady, this); }
Result<Ready> Ready::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(Ready ready, Unpack<Ready>(frame, kReady));
  if (std::find(kShells.begin(), kShells.end(), ready.shell) == kShells.end()) {
    return MalformedMessage("'shell' is no shell that is known");
  }
  return ready;
}

CommandSpec Exec::ForJournal() const {
  if (kept) return *this;
  return {.argv = {}, .cwd = {}, .user = {}, .timeout_ms = timeout_ms};
}

Frame Exec::ToFrame(std::uint32_t channel) const {
  Json body = FieldsToJson(kExec, this);
  if (file) {
    body["file"] = file->ToJson();
  } else {
    body[NameOfArgv(*this)] = argv;
  }
  body["env"] = env;
  return Message(FrameType::kExec, channel, body);
}

Status Exec::ReadArgv(const Json& json) {
  const auto words = json.find(NameOfArgv(*this));
  if (words == json.end() || !words->is_array() || words->empty() ||
      words->size() > kMaxArguments) {
    return MalformedMessage(fmt::format("'argv' is not a list of 1 to {} words", kMaxArguments));
  }
  for (const Json& word : *words) {
    if (!word.is_string()) return MalformedMessage("'argv' holds something else than words");
    argv.push_back(word.get<std::string>());
    PYRO_RETURN_IF_ERROR(CheckWord(argv.back()));
  }
  return OkStatus();
}

Result<Exec> Exec::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Exec exec;
  PYRO_RETURN_IF_ERROR(ReadFields(kExec, json, &exec));
  if (const auto file = json.find("file"); file != json.end()) {
    PYRO_ASSIGN_OR_RETURN(exec.file, FileRequest::FromJson(*file));
    if (exec.journal || exec.script) return MalformedMessage("'file' in a journal or a script");
  } else {
    PYRO_RETURN_IF_ERROR(exec.ReadArgv(json));
  }
  const auto env = json.find("env");
  if (env == json.end() || !env->is_object() || env->size() > kMaxArguments) {
    return MalformedMessage("'env' is not a map");
  }
  for (const auto& [name, value] : env->items()) {
    if (!value.is_string() || name.empty() || name.find('=') != std::string::npos) {
      return MalformedMessage("'env' holds something else than variables");
    }
    exec.env[name] = value.get<std::string>();
    PYRO_RETURN_IF_ERROR(CheckWord(name));
    PYRO_RETURN_IF_ERROR(CheckWord(exec.env[name]));
  }
  if (HasNul(exec.user)) return MalformedMessage("'user' holds a NUL byte");
  if (!exec.cwd.starts_with('/') || HasNul(exec.cwd)) {
    return MalformedMessage("'cwd' is not an absolute path");
  }
  return exec;
}

Frame Exited::ToFrame(std::uint32_t channel) const {
  return Pack(FrameType::kExited, channel, kExited, this);
}
Result<Exited> Exited::FromFrame(const Frame& frame) { return Unpack<Exited>(frame, kExited); }

Frame Kill::ToFrame(std::uint32_t channel) const {
  return Pack(FrameType::kKill, channel, kKill, this);
}
Result<Kill> Kill::FromFrame(const Frame& frame) { return Unpack<Kill>(frame, kKill); }

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
  if (!code || !message || !hint) return MalformedMessage("an error without its parts");
  return MakeError(ErrorCodeFromNumber(static_cast<int>(*code)).value_or(ErrorCode::kInternal),
                   std::move(*message), std::move(*hint));
}

Frame Accepted::ToFrame(std::uint32_t channel) const {
  return Pack(FrameType::kAccepted, channel, kAccepted, this);
}
Result<Accepted> Accepted::FromFrame(const Frame& frame) {
  return Unpack<Accepted>(frame, kAccepted);
}

Frame Cancel::ToFrame(std::uint32_t channel) const {
  return Pack(FrameType::kCancel, channel, kCancel, this);
}
Result<Cancel> Cancel::FromFrame(const Frame& frame) { return Unpack<Cancel>(frame, kCancel); }

Frame Write::ToFrame(std::uint32_t channel) const {
  Json body = FieldsToJson(kWrite, this);
  body["bytes"] = Json::binary({bytes.begin(), bytes.end()});
  return Message(FrameType::kWrite, channel, body);
}
Result<Write> Write::FromFrame(const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const Json json, DecodeObject(frame));
  Write write;
  PYRO_RETURN_IF_ERROR(ReadFields(kWrite, json, &write));
  const auto bytes = json.find("bytes");
  if (bytes == json.end() || !bytes->is_binary() || bytes->get_binary().size() > kMaxDataBytes) {
    return MalformedMessage(fmt::format("'bytes' is not up to {} bytes", kMaxDataBytes));
  }
  write.bytes.assign(bytes->get_binary().begin(), bytes->get_binary().end());
  return write;
}

Frame Ask::ToFrame(std::uint32_t channel) const {
  return Pack(FrameType::kAsk, channel, kAsk, this);
}
Result<Ask> Ask::FromFrame(const Frame& frame) { return Unpack<Ask>(frame, kAsk); }

Frame Stop::ToFrame() const { return Pack(FrameType::kStop, 0, kStop, this); }
Result<Stop> Stop::FromFrame(const Frame& frame) { return Unpack<Stop>(frame, kStop); }

Frame Claim::ToFrame() const { return Pack(FrameType::kClaim, 0, kClaim, this); }
Result<Claim> Claim::FromFrame(const Frame& frame) { return Unpack<Claim>(frame, kClaim); }

Frame Progress::ToFrame() const { return Pack(FrameType::kProgress, 0, kProgress, this); }
Result<Progress> Progress::FromFrame(const Frame& frame) {
  return Unpack<Progress>(frame, kProgress);
}

Frame Ping::ToFrame() const { return Pack(FrameType::kPing, 0, kPing, this); }
Result<Ping> Ping::FromFrame(const Frame& frame) { return Unpack<Ping>(frame, kPing); }

Frame Pong::ToFrame() const { return Pack(FrameType::kPong, 0, kPong, this); }
Result<Pong> Pong::FromFrame(const Frame& frame) { return Unpack<Pong>(frame, kPong); }

Frame SetClock::ToFrame() const { return Pack(FrameType::kSetClock, 0, kSetClock, this); }
Result<SetClock> SetClock::FromFrame(const Frame& frame) {
  return Unpack<SetClock>(frame, kSetClock);
}

Frame Plain(FrameType type, std::uint32_t channel) {
  return Message(type, channel, Json::object());
}

}  // namespace pyro::wire
