#include "engine/instance/instance_rows.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>

#include "base/time.h"

namespace pyro::engine {
namespace {

// Calls `use` with the record's member of that name, if there is one.
template <typename F>
void WithRecordMember(std::string_view name, F use) {
  const auto& fields = state::kInstanceFields;
  const auto* const found = std::find_if(fields.begin(), fields.end(),
                                         [&](const auto& field) { return field.name == name; });
  if (found != fields.end()) std::visit(use, found->member);
}

}  // namespace

void FromOptions(const api::Struct& rows, const void* options, state::InstanceRecord& record) {
  for (const auto& [field, value, fallback] : api::MembersOf(rows, options)) {
    WithRecordMember(field.name, [&, &row = field, from = value](auto member) {
      [[maybe_unused]] auto& to = record.*member;
      using Value = std::remove_reference_t<decltype(to)>;
      if constexpr (std::is_same_v<Value, std::string>) {
        to = *static_cast<const std::string*>(from);
      } else if constexpr (std::is_arithmetic_v<Value> ||
                           std::is_same_v<Value, std::chrono::seconds>) {
        to = Value(row.load(from));
      }
    });
  }
}

void ToInfo(const state::InstanceRecord& record, const api::Struct& rows, void* info) {
  for (const auto& [field, value, fallback] : api::MembersOf(rows, info)) {
    WithRecordMember(field.name, [&, &row = field, to = value](auto member) {
      [[maybe_unused]] const auto& from = record.*member;
      using Value = std::remove_cvref_t<decltype(from)>;
      if constexpr (std::is_same_v<Value, std::string>) {
        *static_cast<std::string*>(to) = from;
      } else if constexpr (std::is_same_v<Value, WallTime>) {
        *static_cast<std::string*>(to) = FormatTime(from);
      } else if constexpr (std::is_same_v<Value, std::chrono::seconds>) {
        row.store(to, from.count());
      } else if constexpr (std::is_arithmetic_v<Value> || std::is_enum_v<Value>) {
        row.store(to, static_cast<std::int64_t>(from));
      }
    });
  }
}

}  // namespace pyro::engine
