// The progress of a long call on a terminal: one line that is rewritten. No output in a pipe.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "front/cli/output.h"
#include "pyro/engine.h"

namespace pyro::cli {

class Progress {
 public:
  // With kPhaseLines each new phase is also a line "[pull] phase=… environment=… seconds=…" of its
  // own, with the time since the call began, on a terminal or not.
  enum class Style { kQuiet, kTransient, kPhaseLines };
  Progress(Style style, std::string environment);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // The next call of the same process, for this subject.
  void Begin(std::string environment);

  void Show(std::string_view phase, std::string_view detail, double fraction);

  // Leaves the line empty for the next output.
  void Clear();

  // Sets the members of `io` that report progress. This object must outlive the call.
  void Connect(CallIo& io);

 private:
  std::int64_t Seconds() const;  // Since the call began.

  Style style_;
  std::string environment_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::string phase_;
  bool terminal_;
  bool drawn_ = false;
};

// A command's output to our own streams, with the progress line out of its way first.
class ClearingSink : public OutputSink {
 public:
  explicit ClearingSink(Progress& progress) : progress_(progress) {}
  int WritableFd(OutputStream stream) override { return sink_.WritableFd(stream); }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    progress_.Clear();
    return sink_.Write(stream, bytes);
  }

 private:
  Progress& progress_;
  TerminalSink sink_;
};

}  // namespace pyro::cli
