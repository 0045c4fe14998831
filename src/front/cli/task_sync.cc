// pyro task sync

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

struct SyncFlags {
  SyncTaskRequest request;
  std::string directories;
  bool quiet = false;
};

constexpr std::size_t kShownPath = 4096;  // Bytes.

// HOST_DIR:PATH, unless a directory has that whole name.
SyncTaskRequest RequestOf(const SyncFlags& flags) {
  SyncTaskRequest request = flags.request;
  request.host_path = flags.directories;
  const std::size_t colon = flags.directories.rfind(':');
  std::error_code error;
  if (colon == std::string::npos || std::filesystem::is_directory(flags.directories, error)) {
    return request;
  }
  request.host_path = flags.directories.substr(0, colon);
  if (colon + 1 < flags.directories.size()) request.path = flags.directories.substr(colon + 1);
  return request;
}

void PrintSynced(const SyncedTask& synced) {
  for (const TaskSyncChange& one : synced.changes) {
    Print(fmt::format("{} {}{}\n", one.kind, Printable(one.path, kShownPath),
                      one.type == "directory" ? "/" : ""));
  }
  for (const TaskSyncConflict& one : synced.conflicts) {
    Print(fmt::format("conflict {}: {} on the host, {} in the task\n",
                      Printable(one.path, kShownPath), one.host, one.task));
  }
  if (synced.truncated) Talk("there is more than is listed\n");
  Talk(fmt::format("{}{}: {} added, {} modified, {} removed ({})\n",
                   synced.dry_run ? "would sync to " : "synced to ",
                   Printable(synced.pull ? synced.host_path : synced.path), synced.added,
                   synced.modified, synced.removed, FormatBytes(synced.bytes)));
}

int Sync(Engine& engine, const Context& context, const SyncFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  const SyncTaskRequest request = RequestOf(flags);
  const auto synced = call.Run([&](const CallIo& io) { return engine.SyncTask(request, io); });
  if (!synced) return Fail(synced.error(), context);
  if (context.json) {
    PrintJson(ToJson(*synced));
  } else if (!flags.quiet) {
    PrintSynced(*synced);
  }
  return kExitOk;
}

}  // namespace

void AddTaskSync(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<SyncFlags>();
  CLI::App* sync = AddNamed(
      task, *api::FindOperation("task sync"),
      {.example = "pyro task sync $id .\n  pyro task sync $id . --pull\n"
                  "  pyro task sync $id ../lib:vendor/lib --dry-run",
       .note = "What changed since the last sync is brought; what only the other side changed\n"
               "stays. Changes on both sides are refused, and nothing is brought. Left alone:\n"
               ".git, and what .gitignore, .git/info/exclude and .dockerignore ignore."});
  AddJson(sync, context);
  AddFields(sync, flags->request, {"host_path", "path"});
  sync->add_flag("-q,--quiet", flags->quiet, "Print no progress and no changes");
  sync->add_option("directories", flags->directories,
                   "A directory of this host; with :PATH, one of the task, else /workspace")
      ->type_name("HOST_DIR")
      ->required();
  OnChosen(sync, context,
           [&context, flags](Engine& engine) { return Sync(engine, context, *flags); });
}

}  // namespace pyro::cli
