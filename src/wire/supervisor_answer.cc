#include "wire/supervisor_answer.h"

#include <utility>

#include "base/json.h"

namespace pyro::wire {

std::string FormatAnswer() { return ToJsonLine({{"listening", true}}) + "\n"; }

std::string FormatAnswer(const Error& why_not) {
  return ToJsonLine({{"error",
                      {{"code", static_cast<int>(why_not.code)},
                       {"message", why_not.message},
                       {"hint", why_not.hint}}}}) +
         "\n";
}

Status ParseAnswer(std::string_view line) {
  const auto json = ParseJson(line, kMaxAnswerBytes);
  if (json && json->is_object() && json->value("listening", Json()) == Json(true))
    return OkStatus();
  const Error silent = MakeError(ErrorCode::kInternal, "the supervisor ended before it listened");
  if (!json || !json->is_object() || !json->contains("error")) return silent;
  const Json& error = (*json)["error"];
  const auto code = GetInt(error, "code", 0, 1000);
  auto message = GetString(error, "message");
  auto hint = GetString(error, "hint");
  if (!code || !message || !hint) return silent;
  return MakeError(ErrorCodeFromNumber(static_cast<int>(*code)).value_or(ErrorCode::kInternal),
                   std::move(*message), std::move(*hint));
}

}  // namespace pyro::wire
