// pyro task patch

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

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

struct PatchFlags : CallFlags<PatchTaskRequest> {
  std::string file = "-";
};

void PrintPatched(const PatchedFile& file) {
  const std::string from = file.old_path.empty() ? "" : Printable(file.old_path, 4096) + " -> ";
  Print(fmt::format("{} {}{} (+{} -{})\n", file.kind, from, Printable(file.path, 4096),
                    file.added_lines, file.removed_lines));
  for (const PatchOffset& offset : file.offsets) {
    const auto lines = offset.lines < 0 ? -offset.lines : offset.lines;
    Print(fmt::format("  hunk {}: {} line{} further {}\n", offset.hunk, lines,
                      lines == 1 ? "" : "s", offset.lines < 0 ? "up" : "down"));
  }
}

int Patch(Engine& engine, const Context& context, const PatchFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  const std::unique_ptr<FILE, int (*)(FILE*)> file(
      flags.file == "-" ? nullptr : std::fopen(flags.file.c_str(), "re"), &std::fclose);
  if (flags.file == "-") {
    call.PassStdin();
  } else if (!file) {
    const ErrorCode code = errno == EACCES ? ErrorCode::kPermissionDenied : ErrorCode::kNotFound;
    return Fail(MakeError(code,
                          fmt::format("the patch '{}' cannot be read: {}", Printable(flags.file),
                                      strerrordesc_np(errno)),
                          "give a file of this host, or - for stdin"),
                context);
  } else {
    call.io().stdin_fd = ::fileno(file.get());
  }
  const auto patch =
      call.Run([&](const CallIo& io) { return engine.PatchTask(flags.request, io); });
  if (!patch) return Fail(patch.error(), context);
  if (context.json) {
    PrintJson(ToJson(*patch));
    return kExitOk;
  }
  for (const std::string& notice : patch->notices) Talk(fmt::format("{}\n", notice));
  if (flags.quiet) return kExitOk;
  for (const PatchedFile& one : patch->files) PrintPatched(one);
  const std::size_t count = patch->files.size();
  Print(fmt::format("{} {} file{} in {} (+{} -{})\n", patch->checked ? "applies to" : "patched",
                    count, count == 1 ? "" : "s", Printable(patch->path), patch->added_lines,
                    patch->removed_lines));
  return kExitOk;
}

}  // namespace

void AddTaskPatch(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<PatchFlags>();
  CLI::App* patch = AddNamed(
      task, *api::FindOperation("task patch"),
      {.example = "git diff | pyro task patch $id\n  pyro task patch $id fix.diff --check",
       .note = "Takes what 'git diff', 'diff -u' and 'pyro task diff' print. A hunk has to be in\n"
               "its file exactly, at any line. If one is not, or a process or the guest dies,\n"
               "then no file has changed. Binary patches are refused."});
  AddJson(patch, context);
  AddFields(patch, flags->request);
  patch->add_option("file", flags->file, "A patch on this host, or - for stdin")
      ->type_name("FILE")
      ->capture_default_str();
  patch->add_flag("-q,--quiet", flags->quiet, "Print nothing");
  OnChosen(patch, context,
           [&context, flags](Engine& engine) { return Patch(engine, context, *flags); });
}

}  // namespace pyro::cli
