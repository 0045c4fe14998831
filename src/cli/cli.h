// The command line: from argv to an exit code.
//
// stdout carries data, stderr carries talk. An error is one sentence and one hint.

#pragma once

namespace pyro::cli {

// Exit codes: `run` ends with the command's code, 124 when it timed out, 125 when pyro itself
// failed; every other command with 0, 1 (failed) or 2 (usage).
int Main(int argc, char** argv);

}  // namespace pyro::cli
