// Parses the output of mmdebstrap and apt: for progress while they run, for the reason if they
// fail.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "image/progress.h"
#include "pyro/error.h"

namespace pyro::image {

// Not thread-safe. Feed it every line; it forgets them.
class BuildLog {
 public:
  // The progress that the line reports, if it is new.
  std::optional<PullProgress> OnLine(std::string_view line);

 private:
  std::optional<PullProgress> EnterPhase(std::string_view message);

  std::string phase_ = "check";
  int packages_ = 0;  // Announced so far.
  int fetched_ = 0;
  int unpacked_ = 0;
  int set_up_ = 0;
};

// The progress of a phase of `all` steps, reported at each hundredth; not at all if `all` is 0. The
// function is borrowed. Not thread-safe.
class StepProgress {
 public:
  StepProgress(const ProgressFn& progress, std::string phase, std::size_t all)
      : progress_(progress), phase_(std::move(phase)), all_(all) {}

  // A step has begun; `detail` may hold any bytes.
  void Step(std::string_view detail);

 private:
  const ProgressFn& progress_;
  const std::string phase_;
  const std::size_t all_;
  std::size_t done_ = 0;
  std::size_t percent_ = 0;  // As reported last.
};

// The reason for a build tool's failure, from the end of its output. kNoSpace: the disk is full.
// kUnavailable: the mirror cannot be reached, lacks a file of its own index, or its signature is
// not accepted. kInternal: none of these; the message then holds the last lines.
Error ExplainFailure(std::string_view tool, std::string_view tail);

}  // namespace pyro::image
