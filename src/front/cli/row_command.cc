// A command that is made from the row of its operation.

#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/operations.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

// The fields that are set, each on a line.
std::string Lines(const Json& document) {
  std::string text;
  for (const auto& [name, value] : document.items()) {
    if (value.is_null() || value.is_structured()) continue;
    text += fmt::format("{}: {}\n", name,
                        Printable(value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return text;
}

struct RowCall {
  const api::Operation& operation;
  std::shared_ptr<void> request = operation.request().make();
  bool quiet = false;
};

int CallRow(Engine& engine, const Context& context, const RowCall& row) {
  const api::Operation& operation = row.operation;
  const std::shared_ptr<void> result = operation.result().make();
  Call call(StyleOf(context, row.quiet), operation.name);
  const Status done = call.Run([&](const CallIo& io) {
    return operation.call(engine, row.request.get(), result.get(), io);
  });
  if (!done) return Fail(done.error(), context);
  const Json document = api::ToJson(operation.result(), result.get());
  if (context.json) {
    PrintJson(document);
  } else if (!row.quiet) {
    Print(Lines(document));
  }
  return kExitOk;
}

}  // namespace

void AddRowCommand(CLI::App& parent, Context& context, const api::Operation& operation) {
  const std::string words = operation.name;
  const auto row = std::make_shared<RowCall>(RowCall{operation});
  CLI::App* command = AddCommand(parent, context, words.substr(words.rfind(' ') + 1).c_str(),
                                 operation.sentence, row, CallRow);
  AddJson(command, context);
  AddFields(command, operation.request(), row->request.get());
  command->add_flag("-q,--quiet", row->quiet, "Print nothing");
  command->footer(fmt::format("Example:\n  {}", operation.example));
}

}  // namespace pyro::cli
