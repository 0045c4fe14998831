#include "vmm/qemu/qmp_parser.h"

#include <limits>
#include <utility>

#include "base/text.h"
#include "base/try.h"

namespace pyro::vmm::qemu {
namespace {

Error Nonsense(std::string what) {
  return MakeError(ErrorCode::kProtocol, "the machine's monitor " + std::move(what));
}

}  // namespace

Result<QmpMessage> ParseQmpLine(std::string_view line) {
  PYRO_ASSIGN_OR_RETURN(Json json, ParseJson(line, kMaxQmpLineBytes));
  if (!json.is_object()) return Nonsense("said something that is not an object");
  QmpMessage message;
  if (json.contains("id") && json["id"].is_number_integer()) {
    PYRO_ASSIGN_OR_RETURN(message.id,
                          GetInt(json, "id", 0, std::numeric_limits<std::int64_t>::max()));
  }
  if (json.contains("QMP")) {
    message.kind = QmpMessage::Kind::kGreeting;
    message.value = std::move(json["QMP"]);
  } else if (json.contains("return")) {
    message.kind = QmpMessage::Kind::kReturn;
    message.value = std::move(json["return"]);
  } else if (json.contains("error")) {
    message.kind = QmpMessage::Kind::kError;
    if (!json["error"].is_object()) return Nonsense("reported an error without a class");
    PYRO_ASSIGN_OR_RETURN(message.name, GetString(json["error"], "class"));
    PYRO_ASSIGN_OR_RETURN(message.text, GetString(json["error"], "desc"));
  } else if (json.contains("event")) {
    message.kind = QmpMessage::Kind::kEvent;
    PYRO_ASSIGN_OR_RETURN(message.name, GetString(json, "event"));
    if (json.contains("data")) message.value = std::move(json["data"]);
  } else {
    return Nonsense("said " + Printable(line));
  }
  return message;
}

void QmpParser::Feed(std::string_view bytes) {
  if (!broken_) buffer_.append(bytes);
}

Result<std::optional<QmpMessage>> QmpParser::Next() {
  if (broken_) return Nonsense("spoke nonsense before");
  while (true) {
    const std::size_t end = buffer_.find('\n', searched_);
    if (end == std::string::npos ? buffer_.size() > kMaxQmpLineBytes : end > kMaxQmpLineBytes) {
      broken_ = true;
      buffer_.clear();
      return Nonsense("sent a line longer than 1 MiB");
    }
    if (end == std::string::npos) {
      searched_ = buffer_.size();
      return std::optional<QmpMessage>();
    }
    const std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    searched_ = 0;
    if (TrimSpace(line).empty()) continue;
    Result<QmpMessage> message = ParseQmpLine(line);
    if (!message) {
      broken_ = true;
      return std::move(message).error();
    }
    return std::optional<QmpMessage>(std::move(*message));
  }
}

std::string FormatQmpCommand(std::string_view command, const Json& arguments, std::int64_t id) {
  Json json = {{"execute", std::string(command)}, {"id", id}};
  if (!arguments.is_null()) json["arguments"] = arguments;
  return ToJsonLine(json) + "\n";
}

}  // namespace pyro::vmm::qemu
