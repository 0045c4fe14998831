#include "state/journal/journal_line.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "state/row_values.h"

namespace pyro::state {
namespace {

constexpr std::size_t kMaxWords = 64 * 1024;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 60;
constexpr std::int64_t kMaxTimeMs = 253'402'300'799'999;  // Before the year 10000.

Error Malformed(std::string_view what) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("a line of a journal is broken: {}", what));
}

// JSON escapes most control characters with six bytes.
bool IsShorterAsHex(std::string_view text) {
  const auto escaped = std::count_if(text.begin(), text.end(),
                                     [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  return static_cast<std::size_t>(escaped) * 5 > text.size();
}

// JSON has no bytes: a string that is not UTF-8 becomes {"hex": "…"}. So does text that JSON
// would make more than twice as long, because the longest command has to fit into
// kMaxJournalLineBytes.
Json BytesToJson(const std::string& bytes) {
  if (IsUtf8(bytes) && !IsShorterAsHex(bytes)) return bytes;
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 0xf];
  }
  return {{"hex", std::move(hex)}};
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

Result<std::string> BytesFromJson(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  PYRO_ASSIGN_OR_RETURN(const std::string hex, GetString(json, "hex", kMaxJournalLineBytes));
  if (hex.size() % 2 != 0) return Malformed("half a byte");
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = HexDigit(hex[i]);
    const int low = HexDigit(hex[i + 1]);
    if (high < 0 || low < 0) return Malformed("not hexadecimal");
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

Json Format(const CommandBegin& begin) {
  Json argv = Json::array();
  for (const std::string& word : begin.argv) argv.push_back(BytesToJson(word));
  return {{"event", "begin"},
          {"argv", std::move(argv)},
          {"cwd", BytesToJson(begin.cwd)},
          {"timeout_ms", begin.timeout_ms},
          {"execution_mode", Name(begin.execution_mode)},
          {"started_at_ms", ToMs(begin.started_at)}};
}

Json Format(const CommandEnd& end) {
  return {{"event", "end"},
          {"outcome", Name(end.outcome)},
          {"code", end.code},
          {"exit_code", end.ExitCode()},
          {"duration_us", end.duration_us},
          {"ended_at_ms", ToMs(end.ended_at)},
          {"stdout_bytes", end.stdout_bytes},
          {"stderr_bytes", end.stderr_bytes},
          {"stdout_dropped", end.stdout_dropped},
          {"stderr_dropped", end.stderr_dropped},
          {"output_left_open", end.output_left_open}};
}

Result<CommandBegin> ParseBegin(const Json& json) {
  CommandBegin begin;
  const auto argv = json.find("argv");
  const auto cwd = json.find("cwd");
  if (argv == json.end() || !argv->is_array() || argv->empty() || argv->size() > kMaxWords) {
    return Malformed("no argv");
  }
  for (const Json& word : *argv) {
    PYRO_ASSIGN_OR_RETURN(std::string bytes, BytesFromJson(word));
    begin.argv.push_back(std::move(bytes));
  }
  if (cwd == json.end()) return Malformed("no cwd");
  PYRO_ASSIGN_OR_RETURN(begin.cwd, BytesFromJson(*cwd));
  PYRO_ASSIGN_OR_RETURN(begin.timeout_ms, GetInt(json, "timeout_ms", 0, kMaxTimeMs));
  PYRO_ASSIGN_OR_RETURN(const std::string mode, GetString(json, "execution_mode", 64));
  PYRO_ASSIGN_OR_RETURN(begin.execution_mode, ParseName<ExecutionMode>("command", mode));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t at, GetInt(json, "started_at_ms", 0, kMaxTimeMs));
  begin.started_at = FromMs(at);
  return begin;
}

Status ReadBytes(const Json& json, std::string_view key, std::uint64_t& value) {
  PYRO_ASSIGN_OR_RETURN(const std::int64_t bytes, GetInt(json, key, 0, kMaxBytes));
  value = static_cast<std::uint64_t>(bytes);
  return OkStatus();
}

Result<CommandEnd> ParseEnd(const Json& json) {
  CommandEnd end;
  PYRO_ASSIGN_OR_RETURN(const std::string name, GetString(json, "outcome", 64));
  PYRO_ASSIGN_OR_RETURN(end.outcome, ParseName<Outcome>("command", name));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t code, GetInt(json, "code", 0, 4095));
  end.code = static_cast<int>(code);
  PYRO_ASSIGN_OR_RETURN(end.duration_us, GetInt(json, "duration_us", 0, INT64_MAX));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t at, GetInt(json, "ended_at_ms", 0, kMaxTimeMs));
  end.ended_at = FromMs(at);
  PYRO_RETURN_IF_ERROR(ReadBytes(json, "stdout_bytes", end.stdout_bytes));
  PYRO_RETURN_IF_ERROR(ReadBytes(json, "stderr_bytes", end.stderr_bytes));
  PYRO_RETURN_IF_ERROR(ReadBytes(json, "stdout_dropped", end.stdout_dropped));
  PYRO_RETURN_IF_ERROR(ReadBytes(json, "stderr_dropped", end.stderr_dropped));
  if (json.contains("output_left_open")) {  // Lines of earlier versions do not say.
    PYRO_ASSIGN_OR_RETURN(end.output_left_open, GetBool(json, "output_left_open"));
  }
  PYRO_RETURN_IF_ERROR(CheckCommandEnd(end));
  return end;
}

Result<JournalLine> Parse(const Json& json) {
  JournalLine line;
  PYRO_ASSIGN_OR_RETURN(line.sequence, GetInt(json, "sequence", 1, kMaxSequence));
  PYRO_ASSIGN_OR_RETURN(const std::string event, GetString(json, "event", 16));
  if (event == "begin") {
    PYRO_ASSIGN_OR_RETURN(line.what, ParseBegin(json));
  } else if (event == "end") {
    PYRO_ASSIGN_OR_RETURN(line.what, ParseEnd(json));
  } else {
    return Malformed("unknown event");
  }
  return line;
}

}  // namespace

std::string FormatJournalLine(const JournalLine& line) {
  Json json = std::visit([](const auto& what) { return Format(what); }, line.what);
  json["sequence"] = line.sequence;
  return ToJsonLine(json);
}

Result<JournalLine> ParseJournalLine(std::string_view text) {
  const auto json = ParseJson(text, kMaxJournalLineBytes);
  if (!json) return Malformed(json.error().message);
  auto line = Parse(*json);
  if (!line && line.error().code != ErrorCode::kDataLoss) return Malformed(line.error().message);
  return line;
}

JournalReplay::Parts* JournalReplay::PartsOf(std::int64_t sequence) {
  if (commands_.size() >= kMaxReplayedCommands && !commands_.contains(sequence)) return nullptr;
  return &commands_[sequence];
}

void JournalReplay::Add(std::string_view text) {
  auto line = ParseJournalLine(text);
  Parts* const parts = line ? PartsOf(line->sequence) : nullptr;
  const auto keep = [](auto& slot, auto& value) {
    if (slot) return false;
    slot = std::move(value);
    return true;
  };
  bool kept = false;
  if (parts != nullptr) {
    auto* const begin = std::get_if<CommandBegin>(&line->what);
    kept = begin != nullptr ? keep(parts->begin, *begin)
                            : keep(parts->end, std::get<CommandEnd>(line->what));
  }
  if (!kept) ++bad_lines_;
}

void JournalReplay::AddUnknown(std::int64_t sequence) {
  if (sequence >= 1 && sequence <= kMaxSequence) (void)PartsOf(sequence);
}

std::vector<CommandRecord> JournalReplay::Finish(const InstanceId& id) && {
  std::vector<CommandRecord> commands;
  commands.reserve(commands_.size());
  for (auto& [sequence, parts] : commands_) {
    CommandBegin begin = parts.begin ? std::move(*parts.begin) : CommandBegin{};
    CommandRecord command(id, sequence, std::move(begin));
    if (!parts.begin && parts.end) command.started_at = parts.end->ended_at;
    command.end = parts.end;
    commands.push_back(std::move(command));
  }
  commands_.clear();
  return commands;
}

}  // namespace pyro::state
