// Output to the two streams.

#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "pyro/engine.h"

namespace pyro::cli {

// Writes all of it to stdout. After a failure nothing more is written.
void Print(std::string_view text);
void PrintJson(const Json& document);

// The error of the first Print that failed, with its errno; a second call returns OK. Callers ask
// before they choose the exit code.
Status TakePrintError();

// Writes all of it to stderr, or as much as stderr takes.
void Talk(std::string_view text);

// "pyro: SENTENCE" and "hint: …" on stderr; with `json` the error's document on stdout, too.
void ReportError(const Error& error, bool json);

bool StderrIsTerminal();

// The width of the terminal `fd`, or `otherwise`.
std::size_t TerminalColumns(int fd, std::size_t otherwise);

// The text without colour if `fd` is not a terminal, or NO_COLOR is set and not empty, or TERM says
// that the terminal has no colours.
enum class Colour { kGreen, kRed, kYellow, kBold, kDim };
std::string Paint(int fd, Colour colour, std::string_view text);

// A command's output, passed on to our own stdout and stderr as they take it.
class TerminalSink : public OutputSink {
 public:
  TerminalSink();
  ~TerminalSink() override;
  TerminalSink(const TerminalSink&) = delete;
  TerminalSink& operator=(const TerminalSink&) = delete;

  int WritableFd(OutputStream stream) override;
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override;

 private:
  // The way to write without waiting, which depends on the kind of descriptor.
  enum class Kind { kFile, kReopened, kSocket, kShared };
  struct Target {
    int fd = -1;
    Kind kind = Kind::kFile;
  };
  static Target Open(int fd);

  Target out_;
  Target err_;
};

}  // namespace pyro::cli
