// The rows as one document, for generators of other surfaces.

#include <string>
#include <string_view>
#include <utility>

#include "api/operations.h"
#include "base/text.h"

namespace pyro::api {
namespace {

std::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kText:
      return "text";
    case Kind::kTexts:
      return "texts";
    case Kind::kInteger:
    case Kind::kUnsigned:
      return "integer";
    case Kind::kFlag:
      return "flag";
    case Kind::kChoice:
      return "choice";
    case Kind::kDuration:
      return "number";
    case Kind::kCommand:
      return "command";
    case Kind::kOptional:
      return "optional";
    case Kind::kList:
      return "list";
    default:
      return "struct";
  }
}

std::string_view UnitName(Unit unit) {
  switch (unit) {
    case Unit::kSeconds:
      return "seconds";
    case Unit::kMilliseconds:
      return "ms";
    case Unit::kMib:
      return "MiB";
    case Unit::kBytes:
      return "bytes";
    default:
      return "";
  }
}

std::string_view EffectName(Effect effect) {
  switch (effect) {
    case Effect::kReads:
      return "reads";
    case Effect::kCreates:
      return "creates";
    case Effect::kChanges:
      return "changes";
    case Effect::kEnds:
      return "ends";
  }
  return "";
}

void DescribeStruct(const Struct& rows, Json& structs);

Json DescribeField(const Member& member, Json& structs) {
  const Field& field = member.field;
  Json form = {{"name", field.name}, {"kind", KindName(field.kind)}, {"sentence", field.sentence}};
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
  if (field.unit != Unit::kNone) form["unit"] = UnitName(field.unit);
  if (field.required) form["required"] = true;
  if (field.positional) form["positional"] = field.value_name;
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
                 {"effect", EffectName(operation->effect)},
                 {"needs", Json::array()},
                 {"sentence", operation->sentence}};
    if (operation->tool != nullptr) form["tool"] = operation->tool;
    if (operation->command != nullptr) form["command"] = operation->command;
    if (operation->no_tool != nullptr) form["no_tool"] = operation->no_tool;
    if (operation->for_python != nullptr) form["for_python"] = operation->for_python;
    if (operation->for_models != nullptr) form["for_models"] = operation->for_models;
    constexpr std::pair<Needs, const char*> kNames[] = {
        {kGuest, "guest"}, {kCommand, "command"}, {kHostPath, "host_path"}, {kSink, "sink"}};
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
