#include "state/instance/task_manifest.h"

#include <chrono>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"
#include "state/instance/instance_record.h"
#include "state/row_values.h"

namespace pyro::state {
namespace {

Error BrokenManifest(std::string_view what) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("the task's manifest is broken: {}", what),
                   "its directory is not changed: its data.img holds the work");
}

// The key of a field that a manifest has: as its column, with the unit of a time.
template <typename Value>
std::string KeyOf(const InstanceField& field) {
  return std::string(field.name) + (std::is_same_v<Value, WallTime> ? "_ms" : "");
}

template <typename Value>
Json ManifestValue(const Value& value) {
  if constexpr (std::is_same_v<Value, WallTime>) {
    return ToMs(value);
  } else if constexpr (std::is_same_v<Value, std::chrono::seconds>) {
    return value.count();
  } else if constexpr (std::is_constructible_v<Json, Value>) {
    return value;
  } else {
    return nullptr;
  }
}

template <typename Value>
Status ReadField(const Json& json, const InstanceField& field, Value& value) {
  const std::string key = KeyOf<Value>(field);
  if constexpr (std::is_same_v<Value, std::string>) {
    const auto limit = static_cast<std::size_t>(field.manifest_limit);
    PYRO_ASSIGN_OR_RETURN(value, GetString(json, key, limit));
  } else if constexpr (std::is_same_v<Value, bool>) {
    PYRO_ASSIGN_OR_RETURN(value, GetBool(json, key));
  } else if constexpr (std::is_same_v<Value, WallTime>) {
    PYRO_ASSIGN_OR_RETURN(const std::int64_t ms, GetInt(json, key, 0, field.manifest_limit));
    value = FromMs(ms);
  } else if constexpr (std::is_constructible_v<Value, std::int64_t>) {
    PYRO_ASSIGN_OR_RETURN(const std::int64_t number, GetInt(json, key, 1, field.manifest_limit));
    value = Value(number);
  }
  return OkStatus();
}

Result<InstanceRecord> ReadManifest(const Json& json) {
  PYRO_RETURN_IF_ERROR(GetInt(json, "schema", kTaskManifestSchema, kTaskManifestSchema));
  PYRO_ASSIGN_OR_RETURN(const std::string id, GetString(json, "task_id", 64));
  PYRO_ASSIGN_OR_RETURN(auto task_id, InstanceId::Parse(InstanceKind::kTask, id));
  InstanceRecord task(InstanceSpec{.id = std::move(task_id)});
  for (const InstanceField& field : kInstanceFields) {
    if (field.manifest_limit == 0) continue;
    if (field.added && !json.contains(field.name)) continue;  // Made before it was added.
    PYRO_RETURN_IF_ERROR(std::visit(
        [&](auto member) { return ReadField(json, field, task.*member); }, field.member));
  }
  return task;
}

}  // namespace

std::string FormatTaskManifest(const InstanceRecord& task) {
  Json json = {{"schema", kTaskManifestSchema}, {"task_id", task.id.str()}};
  for (const InstanceField& field : kInstanceFields) {
    if (field.manifest_limit == 0) continue;
    std::visit(
        [&](auto member) {
          using Value = std::remove_cvref_t<decltype(task.*member)>;
          json[KeyOf<Value>(field)] = ManifestValue(task.*member);
        },
        field.member);
  }
  return ToPrettyJson(json) + "\n";
}

Result<InstanceRecord> ParseTaskManifest(std::string_view text) {
  const auto json = ParseJson(text, kMaxTaskManifestBytes);
  if (!json) return BrokenManifest(json.error().message);
  auto task = ReadManifest(*json);
  if (!task) return BrokenManifest(task.error().message);
  return task;
}

}  // namespace pyro::state
