// The common frame of the commands around one call of the engine: progress on a terminal, Ctrl-C,
// the standard streams, and the report of a failure.

#pragma once

#include <string>
#include <utility>

#include "base/try.h"
#include "front/cli/closing.h"
#include "front/cli/commands.h"
#include "front/cli/progress.h"
#include "front/cli/variables.h"
#include "pyro/engine.h"

namespace pyro::cli {

// Reports the error in the context's form, and returns the exit code: 128+n for a call that
// signal n cancelled or whose reader went away, else the context's own code of a failure.
int Fail(const Error& error, const Context& context);

// After the last Print: kExitOk, or reports that output was lost and returns the exit code. `hint`
// repeats the part that the user cannot do without.
int CheckPrinted(const Context& context, const std::string& hint);

// Progress for people, unless they asked for quiet or for JSON.
Progress::Style StyleOf(const Context& context, bool quiet);

// The words after --, with what WordsFlags have for them.
template <typename Flags>
Result<Command> CommandOf(const Context& context, const Flags& flags) {
  Command command = flags.request.command;
  command.argv = context.command;
  PYRO_ASSIGN_OR_RETURN(command.env, ReadVariables(flags.variables));
  return command;
}

// One for each process: it catches signals.
class Call {
 public:
  // `subject`: the beginning of a progress line.
  Call(Progress::Style style, std::string subject);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Passes our stdin on to the command.
  void PassStdin();
  // Passes the command's output on to our own streams.
  void PassOutput() { io_.sink = &sink_; }

  // Makes a call that runs the words after --, with our stdin, and our streams unless for JSON.
  template <typename Flags, typename F>
  auto RunWords(const Context& context, const Flags& flags, F call)
      -> decltype(call(Command(), CallIo())) {
    PYRO_ASSIGN_OR_RETURN(const Command command, CommandOf(context, flags));
    PassStdin();
    if (!context.json) PassOutput();
    WarnWithoutTerminal(context.command);
    return Run([&](const CallIo& io) { return call(command, io); });
  }

  // Makes the call, and leaves the terminal's line empty for the next output.
  template <typename F>
  auto Run(F call) {
    auto result = call(io_);
    progress_.Clear();
    return result;
  }

  CallIo& io() { return io_; }
  Progress& progress() { return progress_; }

 private:
  Progress progress_;
  ClearingSink sink_;
  CallIo io_;
};

}  // namespace pyro::cli
