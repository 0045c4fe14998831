// A command that is made from the row of its operation.

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "api/operations.h"
#include "base/age.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

std::string OctalOf(const Json& mode) { return fmt::format("{:04o}", mode.get<std::int64_t>()); }

std::string CellOf(const api::Field& field, const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return Printable(value.get<std::string>(), 1000);
  if (field.unit == api::Unit::kMode) return OctalOf(value);
  if (field.unit == api::Unit::kSeconds) {
    return FormatAge(std::chrono::seconds(value.get<std::int64_t>()));
  }
  return value.dump();
}

// Such as "age" for age_seconds, whose values have their units.
std::string WordsOf(const api::Field& field) {
  std::string words = field.name;
  if (field.unit == api::Unit::kSeconds) words.resize(words.rfind("_seconds"));
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

std::string HeadOf(const api::Field& field) {
  std::string head = WordsOf(field);
  for (char& c : head) c = static_cast<char>(std::toupper(c));
  return head;
}

// The fields that are set, each on a line, such as "Modified at: 2026-01-01T00:00:00Z".
std::string Lines(const std::vector<api::Member>& members, const Json& document) {
  std::string text;
  for (const api::Member& member : members) {
    const auto value = document.find(member.field.name);
    if (value == document.end() || value->is_null() || value->is_structured()) continue;
    std::string words = WordsOf(member.field);
    words[0] = static_cast<char>(std::toupper(words[0]));
    if (words.ends_with(" id")) words.resize(words.size() - 3);  // As other commands say "Task".
    text += fmt::format("{}: {}\n", words, CellOf(member.field, *value));
  }
  return text;
}

// A line for each element, and a column for each of its fields. Numbers are on the right of theirs;
// the last column fills the line.
std::string Table(const api::Struct& rows, const Json& list) {
  std::vector<std::string> lines(list.size() + 1);
  const std::vector<api::Member> columns = api::MembersOf(rows);
  for (const api::Member& column : columns) {
    std::vector<std::string> cells = {HeadOf(column.field)};
    for (const Json& one : list) cells.push_back(CellOf(column.field, one[column.field.name]));
    std::size_t width = 0;
    for (const std::string& cell : cells) width = std::max(width, cell.size());
    const bool last = &column == &columns.back();
    const bool right =
        column.field.kind == api::Kind::kInteger || column.field.kind == api::Kind::kUnsigned;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (!last && right) cells[i].insert(0, width - cells[i].size(), ' ');
      if (!last && !right) cells[i].resize(width, ' ');
      lines[i] += cells[i] + (last ? "\n" : "  ");
    }
  }
  lines[0] = Paint(STDOUT_FILENO, Colour::kBold, lines[0].substr(0, lines[0].size() - 1)) + "\n";
  return fmt::format("{}", fmt::join(lines, ""));
}

// A result with a list is the list as a table; of the other fields, flags that are set are said.
// Quiet, it is the first field of each element.
void PrintResult(const api::Struct& rows, const Json& document, bool quiet) {
  const auto members = api::MembersOf(rows);
  const auto list = std::find_if(members.begin(), members.end(), [](const api::Member& one) {
    return one.field.kind == api::Kind::kList;
  });
  if (list == members.end()) {
    if (!quiet) Print(Lines(members, document));
    return;
  }
  const Json& elements = document[list->field.name];
  if (quiet) {
    const api::Member name = api::MembersOf(list->field.rows()).at(0);
    for (const Json& one : elements) {
      Print(CellOf(name.field, one[name.field.name]) + "\n");
    }
    return;
  }
  Print(Table(list->field.rows(), elements));
  for (const api::Member& one : members) {
    if (one.field.kind == api::Kind::kFlag && document[one.field.name] == true) {
      Talk(fmt::format("{}\n", one.field.sentence));
    }
  }
}

struct RowCall {
  const api::Operation& operation;
  RowCommand form;
  std::shared_ptr<void> request = operation.request().make();
  bool quiet = false;
  VariableFlags flags;             // If the request has variables.
  Variables* variables = nullptr;  // Those of the request.
};

// The first field: of a request what it is about, of a result the id.
const std::string& FirstText(const api::Struct& rows, const void* object) {
  return *static_cast<const std::string*>(api::MembersOf(rows, object).at(0).value);
}

// For people, a hint such as "with replace …" names the option.
Error WithOptions(Error error, const api::Struct& request) {
  for (const api::Member& one : api::MembersOf(request)) {
    const bool named = one.field.kind == api::Kind::kFlag &&
                       error.hint.starts_with(fmt::format("with {} ", one.field.name));
    if (named) error.hint.insert(std::string_view("with ").size(), "--");
  }
  return error;
}

int CallRow(Engine& engine, const Context& context, const RowCall& row) {
  const api::Operation& operation = row.operation;
  const std::shared_ptr<void> result = operation.result().make();
  if (row.variables != nullptr) {
    auto variables = ReadVariables(row.flags);
    if (!variables) return Fail(variables.error(), context);
    *row.variables = std::move(*variables);
  }
  std::optional<Call> call;
  if (row.form.waits) {
    call.emplace(StyleOf(context, row.quiet), FirstText(operation.request(), row.request.get()));
  }
  const auto make = [&](const CallIo& io) {
    return operation.call(engine, row.request.get(), result.get(), io);
  };
  const Status done = call ? call->Run(make) : make({});
  if (!done) {
    return Fail(context.json ? done.error() : WithOptions(done.error(), operation.request()),
                context);
  }
  const Json document = api::ToJson(operation.result(), result.get());
  if (context.json) {
    PrintJson(document);
  } else if (row.form.print) {
    row.form.print(context, result.get(), row.quiet);
  } else {
    PrintResult(operation.result(), document, row.quiet);
  }
  if (row.form.made == nullptr) return kExitOk;
  return CheckPrinted(context, row.form.made + FirstText(operation.result(), result.get()));
}

}  // namespace

CLI::App* AddNamed(CLI::App& parent, const api::Operation& operation, const CommandTexts& texts) {
  const std::string words = operation.name;
  CLI::App* command = parent.add_subcommand(words.substr(words.rfind(' ') + 1), operation.sentence);
  return command->footer(fmt::format("{}{}Example:\n  {}", texts.note != nullptr ? texts.note : "",
                                     texts.note != nullptr ? "\n\n" : "", texts.example));
}

CLI::App* AddRowCommand(CLI::App& parent, Context& context, const RowCommand& form) {
  const api::Operation& operation = *api::FindOperation(form.operation);
  const auto row = std::make_shared<RowCall>(RowCall{operation, form});
  CLI::App* command = AddNamed(parent, operation, form.texts);
  AddJson(command, context);
  AddFields(command, operation.request(), row->request.get());
  for (const api::Member& member : api::MembersOf(operation.request(), row->request.get())) {
    if (!IsVariables(member.field)) continue;
    row->variables = static_cast<Variables*>(member.value);
    AddVariables(command, row->flags, "Give its commands this, or our own NAME; repeatable");
  }
  if (form.texts.quiet != nullptr) command->add_flag("-q,--quiet", row->quiet, form.texts.quiet);
  command->callback([&context, row] {
    context.reaps = row->form.reaps;
    context.action = [&context, row](Engine& engine) { return CallRow(engine, context, *row); };
  });
  return command;
}

}  // namespace pyro::cli
