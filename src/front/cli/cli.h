// The command line: from argv to an exit code.
//
// stdout carries data, stderr carries messages. An error is one sentence and one hint.

#pragma once

#include <functional>
#include <memory>

#include "base/time.h"
#include "pyro/engine.h"

namespace pyro::cli {

// What a call of pyro works with, made once it is known that it needs one.
using EngineFactory = std::function<std::unique_ptr<Engine>(Engine::Directories)>;

// Exit codes: `run` and `exec` end with the command's code, 124 when it timed out, 125 when pyro
// itself failed; every other command with 0, 1 (failed) or 2 (usage).
int Main(int argc, char** argv, const EngineFactory& make_engine, const Clock& clock);

}  // namespace pyro::cli
