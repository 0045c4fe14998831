// The rows as one document, for generators of other surfaces.

#include <cstddef>
#include <string>
#include <utility>

#include "api/operations.h"
#include "base/text.h"

namespace pyro::api {
namespace {

// In the order of Kind, Unit and Effect.
constexpr const char* kKindNames[] = {"text",     "texts",  "pairs",  "integer", "integer",
                                      "flag",     "choice", "number", "command", "struct",
                                      "optional", "list",   "struct", "struct"};
constexpr const char* kUnitNames[] = {"", "seconds", "ms", "MiB", "bytes", "mode"};
constexpr const char* kEffectNames[] = {"reads", "creates", "changes", "ends"};

template <typename E, std::size_t N>
const char* NameIn(const char* const (&names)[N], E value) {
  return names[static_cast<std::size_t>(value)];
}

void DescribeStruct(const Struct& rows, Json& structs);

Json DescribeField(const Member& member, Json& structs) {
  const Field& field = member.field;
  Json form = {
      {"name", field.name}, {"kind", NameIn(kKindNames, field.kind)}, {"sentence", field.sentence}};
  if (field.for_models != nullptr) form["for_models"] = field.for_models;
  if (field.default_for_models != nullptr) form["default_for_models"] = field.default_for_models;
  if (field.rows != nullptr) {
    form["of"] = field.rows().name;
    DescribeStruct(field.rows(), structs);
  } else if (!field.required) {
    form["default"] = ToJson(field, member.value);
  }
  if (field.choice != nullptr) form["choices"] = ChoicesOf(field);
  if (field.words != nullptr) form["words"] = Split(field.words, '|');
  if (field.least != kNoLeast) form["least"] = field.least;
  if (field.most != kNoMost) form["most"] = field.most;
  if (field.unit != Unit::kNone) form["unit"] = NameIn(kUnitNames, field.unit);
  if (field.required) form["required"] = true;
  if (field.positional) form["positional"] = field.value_name;
  if (field.usual != kNoLeast) form["usual"] = field.usual;
  if (field.option != nullptr) form["option"] = field.option;
  if (field.host_path) form["host_path"] = true;
  if (field.count != nullptr) form["count"] = field.count;
  if (field.presence == Presence::kLeftOut) form["left_out"] = true;
  if (field.presence == Presence::kNull || field.null_unless != nullptr ||
      field.kind == Kind::kOptional) {
    form["null"] = true;
  }
  return form;
}

void DescribeStruct(const Struct& rows, Json& structs) {
  if (structs.contains(rows.name)) return;
  structs[rows.name] = {{"sentence", rows.sentence}, {"fields", Json::array()}};
  for (const Member& member : MembersOf(rows)) {
    Json field = DescribeField(member, structs);
    structs[rows.name]["fields"].push_back(std::move(field));
  }
  for (const Field& field : rows.fields) {
    if (field.kind != Kind::kInline) continue;
    structs[rows.name]["base"] = field.rows().name;
    DescribeStruct(field.rows(), structs);
  }
}

}  // namespace

Json DescribeApi() {
  Json structs = Json::object();
  Json operations = Json::array();
  for (const Operation* operation : Operations()) {
    Json form = {{"name", operation->name},
                 {"method", operation->method},
                 {"request", operation->request().name},
                 {"result", operation->result().name},
                 {"effect", NameIn(kEffectNames, operation->effect)},
                 {"needs", Json::array()},
                 {"sentence", operation->sentence}};
    if (operation->tool != nullptr) form["tool"] = operation->tool;
    if (operation->command != nullptr) form["command"] = operation->command;
    if (operation->no_tool != nullptr) form["no_tool"] = operation->no_tool;
    if (operation->for_python != nullptr) form["for_python"] = operation->for_python;
    if (operation->for_models != nullptr) form["for_models"] = operation->for_models;
    constexpr std::pair<Needs, const char*> kNames[] = {
        {kGuest, "guest"}, {kCommand, "command"},      {kHostPath, "host_path"},    {kSink, "sink"},
        {kStdin, "stdin"}, {kContentIn, "content_in"}, {kContentOut, "content_out"}};
    for (const auto& [need, name] : kNames) {
      if ((operation->needs & need) != 0) form["needs"].push_back(name);
    }
    DescribeStruct(operation->request(), structs);
    DescribeStruct(operation->result(), structs);
    operations.push_back(std::move(form));
  }
  return {{"operations", operations}, {"structs", structs}};
}

}  // namespace pyro::api
