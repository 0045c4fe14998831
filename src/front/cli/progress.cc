#include "front/cli/progress.h"

#include <unistd.h>

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "front/cli/output.h"

namespace pyro::cli {
Progress::Progress(Style style, std::string environment)
    : style_(style), environment_(std::move(environment)), terminal_(StderrIsTerminal()) {}

void Progress::Begin(std::string environment) {
  Clear();
  environment_ = std::move(environment);
  phase_.clear();
  started_ = std::chrono::steady_clock::now();
}

void Progress::Show(std::string_view phase, std::string_view detail, double fraction) {
  if (style_ == Style::kQuiet) return;
  if (style_ == Style::kPhaseLines && phase != phase_) {
    Clear();
    Talk(fmt::format("[pull] phase={} environment={}\n", phase, environment_));
  }
  phase_ = phase;
  if (!terminal_) return;
  std::string line = fmt::format("{} {}", environment_, phase);
  if (fraction >= 0) line += fmt::format(" {:3.0f} %", fraction * 100);
  if (style_ == Style::kPhaseLines) line += fmt::format(" after {} s", Seconds());
  if (!detail.empty()) line += ": " + Printable(detail, 120);
  Talk("\r\x1b[2K" + line.substr(0, TerminalColumns(STDERR_FILENO, 80) - 1));
  drawn_ = true;
}

std::int64_t Progress::Seconds() const {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                          started_)
      .count();
}

void Progress::Clear() {
  if (drawn_) Talk("\r\x1b[2K");
  drawn_ = false;
}

void Progress::Connect(CallIo& io) {
  io.on_progress = [this](std::string_view phase, std::string_view detail, double fraction) {
    Show(phase, detail, fraction);
  };
  io.on_notice = [this](std::string_view notice) {
    Clear();
    Talk(fmt::format("pyro: {}\n", notice));
  };
  if (style_ != Style::kQuiet) io.on_advice = io.on_notice;
}

}  // namespace pyro::cli
