// Shows a command's output on a terminal so that its escape sequences do not act.

#pragma once

#include <array>
#include <string>
#include <string_view>

#include "front/cli/output.h"
#include "pyro/engine.h"

namespace pyro::cli {

// The text with every control character except newline and tab, and every byte that is not UTF-8,
// as an escape such as \x1b.
std::string Harmless(std::string_view text);

// The same for text that comes in parts, which may end within a character.
class HarmlessText {
 public:
  // The text that is complete.
  std::string Add(std::string_view part);
  // The incomplete end.
  std::string Rest();

 private:
  std::string held_;  // At most 3 bytes.
};

enum class Escapes { kAct, kShown };

// kShown where `fd` is a terminal, unless `raw`.
Escapes EscapesOn(int fd, bool raw);

// A command's output to our own streams, harmless where these are terminals.
class HarmlessSink : public OutputSink {
 public:
  explicit HarmlessSink(bool raw);

  int WritableFd(OutputStream stream) override { return sink_.WritableFd(stream); }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override;

  // Writes the incomplete end. Callers call it once the output has ended.
  void Finish();

 private:
  struct Stream {
    Escapes escapes;
    HarmlessText text;
    std::string pending;  // Escaped, and not written yet.
  };

  TerminalSink sink_;
  std::array<Stream, 2> streams_;
};

}  // namespace pyro::cli
