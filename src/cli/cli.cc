#include "cli/cli.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/describe.h"
#include "cli/help.h"
#include "cli/output.h"
#include "pyro/version.h"

namespace pyro::cli {
namespace {

constexpr std::string_view kNoSubcommand = "A subcommand is required";

// Takes the words after the first "--" away, so that no option of ours can be found among them.
std::optional<std::vector<std::string>> CutCommand(std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != "--") continue;
    std::vector<std::string> command(words.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                     words.end());
    words.resize(i);
    return command;
  }
  return std::nullopt;
}

// The parser's message as one sentence in our own form.
std::string Sentence(const CLI::ParseError& error, const CLI::App& app, bool named) {
  // A word that is no command counts as a missing command.
  if (error.get_name() == "RequiredError" && error.what() == kNoSubcommand) {
    const std::vector<std::string> words = app.remaining(true);
    if (words.empty()) return named ? "the command is not complete" : "there is no command";
    return fmt::format("there is no command '{}'", Printable(words[0], 80));
  }
  std::string text = Printable(error.what(), 300);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

// One sentence and one hint for any message of the parser.
int ReportUsage(const CLI::ParseError& error, const CLI::App& app, const Context& context) {
  std::string name = "pyro";
  for (const CLI::App* command : app.get_subcommands()) {
    name += " " + command->get_name();
    for (const CLI::App* below : command->get_subcommands()) name += " " + below->get_name();
  }
  Error told = MakeError(ErrorCode::kInvalidArgument, Sentence(error, app, name != "pyro"),
                         fmt::format("see '{} --help'", name));
  if (const auto* own = dynamic_cast<const CLI::ValidationError*>(&error)) {
    // CLI11 joins the two parts of our own errors with ": ".
    const std::string text = own->what();
    if (const std::size_t at = text.find(": put it after --"); at != std::string::npos) {
      told = MakeError(ErrorCode::kInvalidArgument, text.substr(0, at), text.substr(at + 2));
    }
  }
  ReportError(told, context.json);
  const bool runs = name.starts_with("pyro run") || name.starts_with("pyro task exec");
  return runs ? kExitPyroFailed : kExitUsage;
}

// The first word, when it names no command. CLI11 would only say that one is missing.
std::string UnknownCommand(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty() || words[0].empty() || words[0][0] == '-') return "";
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == words[0]) return "";
  }
  return words[0];
}

}  // namespace

int Main(int argc, char** argv, const EngineFactory& make_engine) {
  Context context;
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  context.command = CutCommand(words);

  CLI::App app(
      "A computer for every agent task: real Linux microVMs,\nwith no daemon, no root and no "
      "account.",
      "pyro");
  app.set_version_flag("--version", fmt::format("pyro {}", kVersion), "Print the version");
  app.require_subcommand(1);
  app.footer(
      "Exits with 0, 1 (failed) or 2 (bad arguments); 'run' and 'task exec' with the\n"
      "code of their command. With NO_COLOR set nothing is coloured.\n\n"
      "Example:\n  pyro run debian:12 -- git --version\n\n'pyro COMMAND --help' tells more.");
  app.formatter(HelpFormatter());
  app.set_help_flag("-h,--help", "Print this help");
  AddRun(app, context);
  AddTask(app, context);
  AddMcp(app, context);
  AddEnv(app, context);
  AddWarm(app, context);
  AddDoctor(app, context);
  AddDemo(app, context);
  // For the completions of shells, man pages and tests. Their names begin like nothing a person
  // types.
  if (argc > 1 && std::string_view(argv[1]) == "__complete") {
    Print(Completions(app, std::vector<std::string>(argv + 2, argv + argc), make_engine));
    return kExitOk;
  }
  if (argc > 1 && std::string_view(argv[1]) == "__describe") {
    PrintJson(DescribeCommand(app));
    return kExitOk;
  }
  if (const std::string unknown = UnknownCommand(app, words); !unknown.empty()) {
    ReportError(MakeError(ErrorCode::kInvalidArgument,
                          fmt::format("there is no command '{}'", Printable(unknown, 64)),
                          "'pyro --help' shows those there are"),
                context.json);
    return kExitUsage;
  }
  try {
    // CLI11 takes its words from the back.
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    if (context.command && !context.takes_command) throw CLI::ExtrasError("pyro", {"--"});
  } catch (const CLI::CallForHelp&) {
    Print(app.help());
    return kExitOk;
  } catch (const CLI::CallForVersion& version) {
    Print(std::string(version.what()) + "\n");
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return ReportUsage(error, app, context);
  }

  if (const Status prepared = Engine::PrepareProcess(); !prepared) {
    ReportError(prepared.error(), context.json);
    return context.failure_code;
  }
  auto directories = Engine::DefaultDirectories();
  if (!directories) {
    ReportError(directories.error(), context.json);
    return context.failure_code;
  }
  const std::unique_ptr<Engine> engine = make_engine(std::move(*directories));
  // For any command: the leftovers of crashes do not wait for the next VM.
  if (context.reaps) (void)engine->ReapExpired();
  return context.action(*engine);
}

}  // namespace pyro::cli
