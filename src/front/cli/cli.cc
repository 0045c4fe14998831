#include "front/cli/cli.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/operations.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/commands.h"
#include "front/cli/describe.h"
#include "front/cli/help.h"
#include "front/cli/output.h"
#include "front/cli/usage.h"
#include "pyro/version.h"

namespace pyro::cli {
namespace {

constexpr std::string_view kHelp = "help";

// "--secret X --for A --for B" is one secret: "--secret 'X for A,B'". A --for without one before it
// stays, for the parser to refuse.
std::vector<std::string> JoinSecretHosts(const std::vector<std::string>& words) {
  constexpr std::string_view kSecret = "--secret";
  constexpr std::string_view kHost = "--for";
  std::vector<std::string> joined;
  std::size_t secret = 0;  // Its place, from 1.
  bool has_host = false;   // That secret, from here.
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool more = i + 1 < words.size();
    if (secret != 0 && ((word == kHost && more) || word.starts_with(std::string(kHost) + "="))) {
      joined[secret - 1] += std::exchange(has_host, true) ? "," : " for ";
      joined[secret - 1] += word == kHost ? words[++i] : word.substr(kHost.size() + 1);
      continue;
    }
    joined.push_back(word);
    if (word == kSecret && more) joined.push_back(words[++i]);
    if (word != kSecret && !word.starts_with(std::string(kSecret) + "=")) continue;
    secret = joined.size();
    has_host = false;
  }
  return joined;
}

// Takes the words after the first "--" away, so that no option of ours can be found among them.
Words CutCommand(std::vector<std::string> all) {
  Words words;
  const auto at = std::find(all.begin(), all.end(), "--");
  words.own = JoinSecretHosts({all.begin(), at});
  if (at != all.end()) words.command.emplace(at + 1, all.end());
  return words;
}

// The words for the parser. It ends an argument that can be repeated at a "--", so all arguments
// of a command that runs no words stand behind it.
std::vector<std::string> WordsForParser(const Words& words, const Reading& reading) {
  if (!words.command || RunsWords(*reading.command)) return words.own;
  std::vector<std::string> parsed;
  std::vector<std::string> arguments = {"--"};
  auto next = reading.arguments.begin();
  for (std::size_t i = 0; i < words.own.size(); ++i) {
    const bool argument = next != reading.arguments.end() && *next == i;
    if (argument) ++next;
    (argument ? arguments : parsed).push_back(words.own[i]);
  }
  arguments.insert(arguments.end(), words.command->begin(), words.command->end());
  parsed.insert(parsed.end(), arguments.begin(), arguments.end());
  return parsed;
}

// The parser's message in our own form.
Error FromParser(const CLI::ParseError& error, const CLI::App& command) {
  std::string text = Printable(error.what(), 300);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return MakeError(ErrorCode::kInvalidArgument, std::move(text),
                   fmt::format("see '{} --help'", FullName(command)));
}

int ReportUsage(const Error& error, const CLI::App& command, const Words& words) {
  const auto& own = words.own;
  const bool json = command.get_option_no_throw("--json") != nullptr &&
                    std::find(own.begin(), own.end(), "--json") != own.end();
  ReportError(error, json);
  return RunsWords(command) ? kExitPyroFailed : kExitUsage;
}

// `code`, unless printed text was lost: then the exit code of that error.
int Finish(int code, const Context& context) {
  const Status printed = TakePrintError();
  return printed ? code
                 : Fail(printed.error(),
                        {.clock = context.clock, .failure_code = context.failure_code});
}

struct TopCommand {
  std::string_view name;
  void (*add)(CLI::App& app, Context& context);
};

constexpr TopCommand kTopCommands[] = {
    {"run", AddRun},       {"task", AddTask}, {"vm", AddVm},         {"mcp", AddMcp},
    {"env", AddEnv},       {"warm", AddWarm}, {"watch", AddWatch},   {"config", AddConfig},
    {"df", AddDf},         {"gc", AddGc},     {"limits", AddLimits}, {"policy", AddPolicy},
    {"doctor", AddDoctor}, {"demo", AddDemo}, {kHelp, AddHelp},      {"version", AddVersion},
};

// The parser of the command that the words begin with, which is made sooner than that of all; if
// they begin with none, or with the one that looks at all, then that of all.
std::unique_ptr<CLI::App> MakeParser(Context& context, const std::vector<std::string>& called) {
  auto app = std::make_unique<CLI::App>(
      "A computer for every agent task: real Linux microVMs,\nwith no daemon, no root and no "
      "account.",
      "pyro");
  app->set_version_flag("-V,--version", fmt::format("pyro {}", kVersion), "Print the version");
  app->require_subcommand(1);
  app->footer(
      "Exits with 0, 1 (failed) or 2 (bad arguments); 'run' and 'exec' with the code of\n"
      "their command. With NO_COLOR set nothing is coloured.\n\n"
      "Example:\n  pyro run debian:12 -- git --version\n\n'pyro COMMAND --help' tells more.");
  app->formatter(HelpFormatter());
  app->set_help_flag("-h,--help", "Print this help");
  const std::string_view name = called.empty() ? std::string_view() : called[0];
  const bool one = name != kHelp && std::any_of(std::begin(kTopCommands), std::end(kTopCommands),
                                                [&](const auto& top) { return top.name == name; });
  context.verb = one && called.size() > 1 ? called[1] : "";
  for (const TopCommand& top : kTopCommands) {
    if (!one || top.name == name) top.add(*app, context);
  }
  return app;
}

int Act(const Context& context, const EngineFactory& make_engine) {
  if (context.answer) return context.answer();
  if (const Status prepared = Engine::PrepareProcess(); !prepared) {
    return Fail(prepared.error(), context);
  }
  auto directories = Engine::DefaultDirectories();
  if (!directories) return Fail(directories.error(), context);
  const std::unique_ptr<Engine> engine = make_engine(std::move(*directories));
  // For any command: the leftovers of crashes do not wait for the next VM.
  if (context.reaps) (void)engine->ReapExpired();
  return context.action(*engine);
}

}  // namespace

int Main(int argc, char** argv, const EngineFactory& make_engine, const Clock& clock) {
  const std::vector<std::string> all(argv + (argc > 0 ? 1 : 0), argv + argc);
  const Words words = CutCommand(all);
  Context context = {.clock = clock, .command = words.command.value_or(std::vector<std::string>())};

  auto app = MakeParser(context, words.own);
  // For the completions of shells, man pages and tests. No person types such names.
  if (!all.empty() && all[0] == "__complete") {
    Print(Completions(*app, std::vector<std::string>(all.begin() + 1, all.end()), make_engine));
    return Finish(kExitOk, context);
  }
  if (!all.empty() && all[0] == "__describe") {
    const bool api = all.size() > 1 && all[1] == "--api";
    PrintJson(api ? api::DescribeApi() : DescribeCommand(*app));
    return Finish(kExitOk, context);
  }
  if (all.empty()) {
    Print(HelpOf(*app));
    return Finish(kExitOk, context);
  }
  Reading reading = ReadWords(*app, words);
  if (reading.mistake) {  // The other commands may be in its explanation.
    app = MakeParser(context, {});
    reading = ReadWords(*app, words);
  }
  if (reading.mistake) return ReportUsage(*reading.mistake, *reading.command, words);
  context.without_words = std::move(reading.without_words);
  try {
    std::vector<std::string> parsed = WordsForParser(words, reading);
    std::reverse(parsed.begin(), parsed.end());  // CLI11 takes its words from the back.
    app->parse(std::move(parsed));
  } catch (const CLI::CallForHelp&) {
    Print(app->help());
    return Finish(kExitOk, context);
  } catch (const CLI::CallForVersion& version) {
    Print(std::string(version.what()) + "\n");
    return Finish(kExitOk, context);
  } catch (const UsageError& error) {
    return ReportUsage(error.error(), *reading.command, words);
  } catch (const CLI::ParseError& error) {
    return ReportUsage(FromParser(error, *reading.command), *reading.command, words);
  }
  return Finish(Act(context, make_engine), context);
}

}  // namespace pyro::cli
