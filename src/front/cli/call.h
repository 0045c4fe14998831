// The common frame of the commands around one call of the engine: progress on a terminal, Ctrl-C,
// the standard streams, and the report of a failure.

#pragma once

#include <optional>
#include <string>
#include <utility>

#include "front/cli/closing.h"
#include "front/cli/commands.h"
#include "front/cli/progress.h"
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
  template <typename F>
  auto RunWords(const Context& context, F call) {
    PassStdin();
    if (!context.json) PassOutput();
    WarnWithoutTerminal(context.command);
    const Command command = {context.command, std::nullopt};
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
