#include "front/cli/delete.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/operations.h"
#include "base/try.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/usage.h"

namespace pyro::cli {
namespace {

struct DeleteFlags {
  std::vector<std::string> ids;
  bool all = false;
  bool quiet = false;
};

std::string IdName(const Deletable& what) { return fmt::format("{}_id", what.tag); }

Result<Json> CallVerb(Engine& engine, const Deletable& what, const char* verb,
                      const Json& arguments) {
  return api::Call(engine, *api::FindOperation(fmt::format("{} {}", what.tag, verb)), arguments);
}

Result<std::vector<std::string>> AllIds(Engine& engine, const Deletable& what) {
  PYRO_ASSIGN_OR_RETURN(const Json list, CallVerb(engine, what, "list", Json::object()));
  std::vector<std::string> ids;
  for (const Json& one : list[fmt::format("{}s", what.tag)]) ids.push_back(one[IdName(what)]);
  return ids;
}

// The document of what was deleted. A task that was not there counts as deleted, too.
Result<Json> DeleteOne(Engine& engine, const Context& context, const Deletable& what,
                       const std::string& id, bool quiet) {
  const Json arguments = {{IdName(what), id}};
  const auto before = CallVerb(engine, what, "status", arguments);
  PYRO_ASSIGN_OR_RETURN(Json deleted, CallVerb(engine, what, "delete", arguments));
  const std::string whole = deleted[IdName(what)];
  if (quiet || context.json) return deleted;
  if (before || before.error().code != ErrorCode::kNotFound) {
    Print(fmt::format("Deleted {}: {}\n", what.noun, whole));
  } else {
    Print(fmt::format("There was no {} {}: nothing to delete\n", what.noun, whole));
  }
  return deleted;
}

// If one of several cannot be deleted, the others still are.
int Delete(Engine& engine, const Context& context, const Deletable& what,
           const DeleteFlags& flags) {
  const auto ids = flags.all ? AllIds(engine, what) : flags.ids;
  if (!ids) return Fail(ids.error(), context);
  if (ids->empty() && !flags.quiet && !context.json) {
    Talk(fmt::format("pyro: there are no {}s\n", what.noun));
  }
  const bool single = !flags.all && ids->size() == 1;
  int code = kExitOk;
  Json list = Json::array();
  for (const std::string& id : *ids) {
    auto deleted = DeleteOne(engine, context, what, id, flags.quiet);
    if (!deleted) {
      if (single) return Fail(deleted.error(), context);
      code = kExitFailed;
      ReportError(deleted.error(), false);
      Json entry = ToJson(deleted.error());
      entry.update({{IdName(what), id}, {"deleted", false}});
      deleted = std::move(entry);
    }
    list.push_back(std::move(*deleted));
  }
  if (!context.json) return code;
  PrintJson(single ? list[0] : Json{{"count", list.size()}, {fmt::format("{}s", what.tag), list}});
  return code;
}

}  // namespace

void AddDelete(CLI::App& group, Context& context, const Deletable& what) {
  const auto flags = std::make_shared<DeleteFlags>();
  const std::string operation = fmt::format("{} delete", what.tag);
  const std::string example = fmt::format("pyro {} $id", operation);
  CLI::App* command = AddNamed(
      group, *api::FindOperation(operation),
      {.example = example.c_str(),
       .note = "Nothing is asked. With several ids, those that cannot be deleted are named, and\n"
               "the others are deleted."});
  command->alias("rm");
  AddJson(command, context);
  command
      ->add_option(IdName(what), flags->ids,
                   fmt::format("The {}s' ids, or their first 6 characters{}", what.noun,
                               what.tag == std::string_view("task") ? ", or their names" : ""))
      ->type_name(what.value);
  command->add_flag("--all", flags->all, fmt::format("Delete all {}s", what.noun));
  command->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  command->callback([&context, what, flags] {
    if (flags->all && !flags->ids.empty()) {
      throw UsageError(fmt::format("--all and a {} exclude each other", what.value),
                       "give one of the two");
    }
    if (!flags->all && flags->ids.empty()) {
      throw UsageError(fmt::format("{} is missing", what.value), "give one id or more, or --all");
    }
    context.action = [&context, what, flags](Engine& engine) {
      return Delete(engine, context, what, *flags);
    };
  });
}

}  // namespace pyro::cli
