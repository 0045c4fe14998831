// The commands. Each adds itself to the parser, with what to do when it is chosen.

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "pyro/engine.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the name of the library
class App;
}

namespace pyro::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitTimedOut = 124;
inline constexpr int kExitPyroFailed =
    125;  // Of commands whose other codes are the guest command's.

// What was parsed. Borrowed by the commands.
struct Context {
  const Clock& clock;
  std::vector<std::string> command;  // The words after "--".
  // The second word, if the parser is made for the command of the first two alone.
  std::string verb = {};
  // There are no words after "--", and that is a mistake unless the environment has its own.
  std::optional<Error> without_words = {};
  // One of the two is set by the chosen command's parse callback; an answer needs no engine.
  std::function<int(Engine&)> action;
  std::function<int()> answer;
  bool json = false;
  bool reaps = true;  // What crashes left behind is cleared before the action.
  int failure_code = kExitFailed;
};

void AddRun(CLI::App& app, Context& context);
void AddEnv(CLI::App& app, Context& context);
void AddEnvCommit(CLI::App& env, Context& context);
void AddDoctor(CLI::App& app, Context& context);
void AddDemo(CLI::App& app, Context& context);
void AddDemoOllama(CLI::App& demo, Context& context);
void AddTask(CLI::App& app, Context& context);
void AddVm(CLI::App& app, Context& context);
void AddWarm(CLI::App& app, Context& context);
void AddWatch(CLI::App& app, Context& context);
void AddConfig(CLI::App& app, Context& context);
void AddDf(CLI::App& app, Context& context);
void AddGc(CLI::App& app, Context& context);
void AddLimits(CLI::App& app, Context& context);
void AddPolicy(CLI::App& app, Context& context);
void AddMcp(CLI::App& app, Context& context);
void AddHelp(CLI::App& app, Context& context);
void AddVersion(CLI::App& app, Context& context);

}  // namespace pyro::cli
