// pyro env commit | export

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

constexpr const char* kStdoutFile = "-";

// Also with --quiet: what worked in the task may fail for it.
void SayMissing(const std::string& name, const std::vector<std::string>& left_out) {
  for (const std::string& line : left_out) {
    Talk(fmt::format("pyro: {} lacks {}\n", name, Printable(line, 400)));
  }
}

int Commit(Engine& engine, const Context& context,
           const CallFlags<CommitEnvironmentRequest>& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.name);
  const auto made =
      call.Run([&](const CallIo& io) { return engine.CommitEnvironment(flags.request, io); });
  if (!made) return Fail(made.error(), context);
  SayMissing(made->info.name, made->left_out);
  if (context.json) {
    PrintJson(ToJson(*made));
  } else if (!flags.quiet) {
    Print(fmt::format("{} installed ({}, {})\n", made->info.name,
                      FormatBytes(made->info.size_bytes), made->info.digest.substr(0, 12)));
  }
  return kExitOk;
}

int ExportEnvironment(Engine& engine, const Context& context,
                      const CallFlags<ExportEnvironmentRequest>& flags) {
  const bool to_stdout = flags.request.file == kStdoutFile;
  if (to_stdout && context.json) {
    return Fail(MakeError(ErrorCode::kInvalidArgument, "--json and '-' both want stdout",
                          "leave one of them out"),
                context);
  }
  Call call(StyleOf(context, flags.quiet), flags.request.environment);
  const auto exported = call.Run([&](const CallIo& io) {
    return engine.ExportEnvironment(flags.request, to_stdout ? STDOUT_FILENO : -1, io);
  });
  if (!exported) return Fail(exported.error(), context);
  SayMissing(exported->environment, exported->left_out);
  if (to_stdout) return kExitOk;
  if (context.json) {
    PrintJson(ToJson(*exported));
  } else if (!flags.quiet) {
    Print(fmt::format("{} ({})\n", exported->file, FormatBytes(exported->bytes)));
  }
  return kExitOk;
}

}  // namespace

void AddEnvCommit(CLI::App& env, Context& context) {
  AddOperation(env, context, "env commit",
               {.quiet = "Print no progress and no closing line",
                .example = "pyro env commit $id my-tools\n  pyro run my-tools -- make --version",
                .note = "The task goes on, or stays stopped. What is in /tmp stays behind, and so\n"
                        "does /workspace unless --workspace is given. The words of the task's\n"
                        "commands are kept with the environment, and exported with it."},
               std::make_shared<CallFlags<CommitEnvironmentRequest>>(), Commit);
  AddOperation(
      env, context, "env export",
      {.quiet = "Print no progress and no closing line",
       .example = "pyro env export my-tools my-tools.oci.tar\n"
                  "  podman run oci-archive:my-tools.oci.tar make --version",
       .note = "An image is written as it was pulled; another environment gets one layer."},
      std::make_shared<CallFlags<ExportEnvironmentRequest>>(), ExportEnvironment);
}

}  // namespace pyro::cli
