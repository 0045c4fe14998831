// The command line as a test uses it: words in, exit code and both streams out, on an engine whose
// guests are processes of this host.

#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/testing/engine_fixture.h"

namespace pyro::cli {

// How one call ended.
struct Told {
  int code = -1;  // 128+n: ended by signal n.
  std::string out;
  std::string err;

  // What it printed as JSON; null if that is none.
  Json json() const;
  // The columns of the longest line that it printed.
  std::size_t Widest() const;
};

class CliFixture : public engine::EngineFixture {
 protected:
  using Words = std::vector<std::string>;

  // Runs `pyro` with these words, in a process of its own, and waits for its end.
  Told Pyro(const Words& words, std::string_view input = "");

  // The same with a terminal of 80 columns at stdout and stderr, which are one in `out`.
  Told PyroOnTerminal(const Words& words);

  // One that goes on until Join().
  struct Running {
    pid_t pid = -1;
    int out = -1;
    int err = -1;
  };
  Running Start(const Words& words, std::string_view input = "");
  // Waits until it has printed `text` on stdout, or on stderr.
  static void AwaitOutput(const Running& running, std::string_view text) {
    AwaitText(running.out, text);
  }
  static void AwaitTalk(const Running& running, std::string_view text) {
    AwaitText(running.err, text);
  }
  static Told Join(const Running& running);

  // A new task's id.
  std::string CreateTask();

 private:
  static void AwaitText(int file, std::string_view text);
  [[noreturn]] void RunMain(const Words& words);
};

}  // namespace pyro::cli
