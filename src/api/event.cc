#include "api/event.h"

namespace pyro {

Json ToJson(const Event& event) {
  using Kind = Event::Kind;
  Json form = {{"event", Name(event.kind)}, {"at", event.at}};
  if (event.kind == Kind::kEnvironments) return form;
  form["id"] = event.id;
  if (event.kind == Kind::kPresent) form["state"] = Name(event.state);
  if (event.sequence > 0) form["sequence"] = event.sequence;
  switch (event.kind) {
    case Kind::kCommandBegan:
      form["command"] = event.command;
      break;
    case Kind::kOutput:
      form["stream"] = Name(event.stream);
      form["bytes"] = event.bytes;
      break;
    case Kind::kCommandEnded:
      form["outcome"] = Name(event.outcome);
      form["exit_code"] = event.exit_code;
      break;
    case Kind::kStopped:
      form["last_error"] = event.last_error.empty() ? Json() : Json(event.last_error);
      break;
    default:
      break;
  }
  return form;
}

Json ToJson(const std::vector<Event>& events) {
  Json list = Json::array();
  for (const Event& event : events) list.push_back(ToJson(event));
  return list;
}

}  // namespace pyro
