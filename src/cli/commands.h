// The commands. Each adds itself to the parser, with its action.

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pyro/engine.h"

namespace CLI {
class App;
}

namespace pyro::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
// For commands whose other codes are those of the guest's command.
inline constexpr int kExitPyroFailed = 125;

// The parsed command line. Borrowed by the commands.
struct Context {
  // The words after "--"; nullopt: there was none.
  std::optional<std::vector<std::string>> command;
  // Set by the chosen command's parse callback.
  std::function<int(Engine&)> action;
  bool takes_command = false;  // The chosen command uses `command`.
  bool json = false;
  bool reaps = true;  // The leftovers of crashes are removed before the action.
  int failure_code = kExitFailed;
};

void AddRun(CLI::App& app, Context& context);
void AddEnv(CLI::App& app, Context& context);
void AddDoctor(CLI::App& app, Context& context);
void AddDemo(CLI::App& app, Context& context);
void AddDemoOllama(CLI::App& demo, Context& context);
void AddTask(CLI::App& app, Context& context);
void AddWarm(CLI::App& app, Context& context);
void AddMcp(CLI::App& app, Context& context);

// For parse callbacks: a usage error unless a command stands behind "--". `before`: the beginning
// of the example.
void RequireCommand(Context& context, const std::string& before);

// On stderr, for outcomes that an exit code alone does not explain.
void ExplainOutcome(const ExecResult& result, bool quiet);

}  // namespace pyro::cli
