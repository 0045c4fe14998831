// The programs that build an environment: finding, running and stopping them.

#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "image/progress.h"
#include "pyro/result.h"
#include "sys/child_process.h"

namespace pyro::image {

// A value.
struct ToolPaths {
  // Only these directories are searched; empty means $PATH and the system's directories.
  std::vector<std::filesystem::path> search;

  // kMissingTool, with the command that installs it as the hint.
  Result<std::filesystem::path> Find(std::string_view tool) const;
};

// The environment variables of the tools: a fixed set and the caller's proxy variables.
std::vector<std::string> ToolEnvironment(const ToolPaths& tools);

// The first line that each tool prints for --version, and pyro's own version. A tool whose line
// does not begin with its name is left out.
std::map<std::string, std::string> ToolVersions(const ToolPaths& tools,
                                                const std::vector<std::string>& names);

struct ToolRun {
  sys::ExitStatus status;
  std::string tail;  // The end of what it printed, at most 8 KiB.
};

// Called with each line (ended by \n or \r), cut at 4096 bytes.
using LineFn = std::function<void(std::string_view)>;

// Called about five times a second while a program runs. False: the program is to stop.
using TickFn = std::function<bool()>;

// Runs a program to its end, reading its stdout and stderr as one stream. kCancelled, or kTimedOut
// if `on_tick` said so: its whole process group was killed and every process that held its output
// is gone.
Result<ToolRun> RunTool(sys::SpawnOptions options, Cancellation cancel, const LineFn& on_line,
                        const TickFn& on_tick = {});

// Runs a program that is expected to succeed and returns its stdout (at most 16 MiB). kUnavailable:
// it did not end within two minutes. kCancelled. For any other failure, the error of ExplainFailure
// for its stderr.
Result<std::string> Capture(const ToolPaths& tools, std::vector<std::string> argv,
                            Cancellation cancel = {});

}  // namespace pyro::image
