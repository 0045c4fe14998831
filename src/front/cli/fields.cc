#include "front/cli/fields.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/check.h"
#include "base/text.h"
#include "base/try.h"
#include "front/cli/usage.h"
#include "front/cli/values.h"

namespace pyro::cli {
namespace {

using api::Field;
using api::Kind;

// What the help of a command calls it.
std::string SaidOf(const std::string& name, const Field& field) {
  return field.positional ? field.value_name : name;
}

// What is out of the field's range is refused by the name that a person knows.
Parse Ranged(const std::string& said, const Field& field, Parse parse) {
  return [said, &field, parse = std::move(parse)](std::string_view text) -> Result<std::int64_t> {
    PYRO_ASSIGN_OR_RETURN(const std::int64_t number, parse(text));
    const Status fits = api::CheckRange(said, number, field.least, field.most);
    if (fits) return number;
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("is '{}'", Printable(text, 64)),
                     fits.error().hint);
  };
}

Parse ParserOf(const std::string& said, const Field& field) {
  if (field.kind == Kind::kDuration) return ParseMilliseconds;
  if (field.unit == api::Unit::kMode) return ParseMode;
  if (field.unit == api::Unit::kSeconds) return Ranged(said, field, ParseSeconds);
  if (field.unit == api::Unit::kMib) return Ranged(said, field, ParseMib);
  const Bounds bounds = {.least = field.least, .most = field.most};
  return [bounds](std::string_view text) { return ParseNumber(text, bounds); };
}

CLI::Option* AddText(CLI::App* command, const std::string& name, const Field& field, void* value) {
  return command->add_option(name, *static_cast<std::string*>(value), field.sentence)
      ->type_name(field.value_name)
      ->transform([said = SaidOf(name, field), &field](const std::string& text) {
        const Status good = api::CheckText(field.With(&Field::name, said.c_str()), text);
        if (!good) throw UsageError(good.error().message, good.error().hint);
        return text;
      });
}

CLI::Option* AddNumeric(CLI::App* command, const std::string& name, const Field& field,
                        void* value) {
  const std::int64_t fallback = field.load(value);
  const std::string said = SaidOf(name, field);
  CLI::Option* option = AddParsed(
      command, name, said, [&field, value](std::int64_t number) { field.store(value, number); },
      ParserOf(said, field), field.sentence);
  const bool tells = fallback != 0 && fallback >= field.least && fallback < field.most;
  if (tells) option->default_str(std::to_string(fallback));
  if (field.usual != api::kNoLeast) option->default_str(std::to_string(field.usual));
  return option;
}

CLI::Option* AddChosen(CLI::App* command, const std::string& name, const Field& field,
                       void* value) {
  const auto text = std::make_shared<std::string>();
  const auto words = api::ChoicesOf(field);
  return AddChoice(command, name, *text, words, field.sentence)
      ->each([text, words, &field, value](const std::string& word) {
        field.store(value, std::find(words.begin(), words.end(), word) - words.begin());
      });
}

// KEY=VALUE, repeatable.
CLI::Option* AddPairs(CLI::App* command, const std::string& name, const Field& field, void* value) {
  const auto add = [name, value](const std::vector<std::string>& given) {
    for (const std::string& one : given) {
      const std::size_t equals = one.find('=');
      if (equals == std::string::npos || equals == 0) {
        throw UsageError(fmt::format("{} is '{}'", name, Printable(one, 64)), "give KEY=VALUE");
      }
      (*static_cast<std::map<std::string, std::string>*>(value))[one.substr(0, equals)] =
          one.substr(equals + 1);
    }
  };
  return command->add_option_function<std::vector<std::string>>(name, add, field.sentence)
      ->type_name(field.value_name)
      ->allow_extra_args(false);
}

CLI::Option* AddMember(CLI::App* command, const Field& field, void* value) {
  std::string name = field.option != nullptr ? field.option : field.name;
  if (!field.positional) {
    std::replace(name.begin(), name.end(), '_', '-');
    name.insert(0, "--");
  }
  CLI::Option* option = nullptr;
  switch (field.kind) {
    case Kind::kText:
      option = AddText(command, name, field, value);
      break;
    case Kind::kTexts:
      option =
          command->add_option(name, *static_cast<std::vector<std::string>*>(value), field.sentence)
              ->type_name(field.value_name)
              ->allow_extra_args(false);
      break;
    case Kind::kPairs:
      return AddPairs(command, name, field, value);
    case Kind::kFlag:
      if (field.load(value) != 0) {  // The option is its negation.
        return command->add_flag_callback(
            name, [&field, value] { field.store(value, 0); }, field.sentence);
      }
      return command->add_flag(name, *static_cast<bool*>(value), field.sentence);
    case Kind::kChoice:
      return AddChosen(command, name, field, value);
    default:
      return AddNumeric(command, name, field, value);
  }
  return field.positional && field.required ? option->required() : option;
}

}  // namespace

bool IsVariables(const Field& field) {
  return field.kind == Kind::kPairs && field.name == std::string_view("env");
}

CLI::Option* AddField(CLI::App* command, const api::Struct& rows, void* object,
                      std::string_view name) {
  for (const api::Member& member : api::MembersOf(rows, object)) {
    if (name == member.field.name) return AddMember(command, member.field, member.value);
  }
  PYRO_CHECK(false);
  return nullptr;
}

void AddFields(CLI::App* command, const api::Struct& rows, void* object,
               std::initializer_list<std::string_view> without) {
  for (const api::Member& member : api::MembersOf(rows, object)) {
    const Field& field = member.field;
    if (field.kind == Kind::kCommand || IsVariables(field)) continue;
    if (std::find(without.begin(), without.end(), field.name) != without.end()) continue;
    AddMember(command, field, member.value);
  }
}

}  // namespace pyro::cli
