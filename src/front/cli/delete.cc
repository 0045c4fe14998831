#include "front/cli/delete.h"

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
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

void SayDeleted(const Deletable& what, const Deleted& deleted) {
  if (deleted.was_there) {
    Print(fmt::format("Deleted {}: {}\n", what.noun, deleted.id));
  } else {
    Print(fmt::format("There was no {} {}: nothing to delete\n", what.noun, deleted.id));
  }
}

Json DeletedForm(const Deletable& what, const std::string& id) {
  return {{fmt::format("{}_id", what.tag), id}, {"deleted", true}};
}

int DeleteSingle(Engine& engine, const Context& context, const Deletable& what,
                 const DeleteFlags& flags) {
  const auto deleted = what.remove(engine, flags.ids[0]);
  if (!deleted) return Fail(deleted.error(), context);
  if (context.json) {
    PrintJson(DeletedForm(what, deleted->id));
  } else if (!flags.quiet) {
    SayDeleted(what, *deleted);
  }
  return kExitOk;
}

// If one cannot be deleted, the others still are.
int DeleteMany(Engine& engine, const Context& context, const Deletable& what,
               const std::vector<std::string>& ids, bool quiet) {
  int code = kExitOk;
  Json list = Json::array();
  for (const std::string& id : ids) {
    const auto deleted = what.remove(engine, id);
    if (!deleted) {
      code = kExitFailed;
      Json entry = DeletedForm(what, id);
      entry["deleted"] = false;
      entry.update(ToJson(deleted.error()));
      list.push_back(std::move(entry));
      ReportError(deleted.error(), false);
      continue;
    }
    list.push_back(DeletedForm(what, deleted->id));
    if (!quiet && !context.json) SayDeleted(what, *deleted);
  }
  if (context.json) {
    PrintJson({{"count", list.size()}, {fmt::format("{}s", what.tag), list}});
  }
  return code;
}

int Delete(Engine& engine, const Context& context, const Deletable& what,
           const DeleteFlags& flags) {
  if (!flags.all && flags.ids.size() == 1) return DeleteSingle(engine, context, what, flags);
  if (!flags.all) return DeleteMany(engine, context, what, flags.ids, flags.quiet);
  const auto ids = what.list(engine);
  if (!ids) return Fail(ids.error(), context);
  if (ids->empty() && !flags.quiet && !context.json) {
    Talk(fmt::format("pyro: there are no {}s\n", what.noun));
  }
  return DeleteMany(engine, context, what, *ids, flags.quiet);
}

}  // namespace

void AddDelete(CLI::App& group, Context& context, const Deletable& what) {
  const auto flags = std::make_shared<DeleteFlags>();
  CLI::App* command = group.add_subcommand("delete", what.description);
  command->alias("rm");
  AddJson(command, context);
  command
      ->add_option(fmt::format("{}_id", what.tag), flags->ids,
                   fmt::format("The {}s' ids, or their first 6 characters; '{}_' may be left out",
                               what.noun, what.tag))
      ->type_name(what.value);
  command->add_flag("--all", flags->all, fmt::format("Delete all {}s", what.noun));
  command->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  command->footer(fmt::format(
      "Nothing is asked. With several ids, those that cannot be deleted are named, and\n"
      "the others are deleted.\n\nExample:\n  pyro {} delete $id",
      what.tag));
  command->callback([&context, &what, flags] {
    if (flags->all && !flags->ids.empty()) {
      throw UsageError(fmt::format("--all and a {} exclude each other", what.value),
                       "give one of the two");
    }
    if (!flags->all && flags->ids.empty()) {
      throw UsageError(fmt::format("{} is missing", what.value), "give one id or more, or --all");
    }
    context.action = [&context, &what, flags](Engine& engine) {
      return Delete(engine, context, what, *flags);
    };
  });
}

}  // namespace pyro::cli
