#include "state/journal/journal_line.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::state {
namespace {

constexpr std::size_t kMaxWords = 64 * 1024;

Error BrokenLine(std::string_view what) {
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
  if (hex.size() % 2 != 0) return BrokenLine("half a byte");
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = HexDigit(hex[i]);
    const int low = HexDigit(hex[i + 1]);
    if (high < 0 || low < 0) return BrokenLine("not hexadecimal");
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

Json Format(const CommandBegin& begin) {
  Json json = FieldsToJson(kCommandBeginFields, &begin);
  json["event"] = "begin";
  json["argv"] = Json::array();
  for (const std::string& word : begin.argv) json["argv"].push_back(BytesToJson(word));
  json["cwd"] = BytesToJson(begin.cwd);
  return json;
}

Json Format(const CommandEnd& end) {
  Json json = FieldsToJson(kCommandEndFields, &end);
  json["event"] = "end";
  json["exit_code"] = end.ExitCode();
  return json;
}

Result<CommandBegin> ParseBegin(const Json& json) {
  CommandBegin begin;
  const auto argv = json.find("argv");
  const auto cwd = json.find("cwd");
  if (argv == json.end() || !argv->is_array() || argv->size() > kMaxWords) {
    return BrokenLine("no argv");
  }
  for (const Json& word : *argv) {
    PYRO_ASSIGN_OR_RETURN(std::string bytes, BytesFromJson(word));
    begin.argv.push_back(std::move(bytes));
  }
  if (cwd == json.end()) return BrokenLine("no cwd");
  PYRO_ASSIGN_OR_RETURN(begin.cwd, BytesFromJson(*cwd));
  PYRO_RETURN_IF_ERROR(ReadFields(kCommandBeginFields, json, &begin));
  return begin;
}

Result<CommandEnd> ParseEnd(const Json& json) {
  CommandEnd end;
  PYRO_RETURN_IF_ERROR(ReadFields(kCommandEndFields, json, &end));
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
    return BrokenLine("unknown event");
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
  if (!json) return BrokenLine(json.error().message);
  auto line = Parse(*json);
  if (!line && line.error().code != ErrorCode::kDataLoss) return BrokenLine(line.error().message);
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
