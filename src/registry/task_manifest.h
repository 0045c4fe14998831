// tasks/<id>/manifest.json: what the task was made with, so that a lost registry can be made again.
// Written once, with the directory; what is read is treated as input from outside.

#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"
#include "registry/task_record.h"

namespace pyro::registry {

inline constexpr int kTaskManifestSchema = 1;
inline constexpr std::size_t kMaxTaskManifestBytes = 64 * 1024;

struct TaskManifest {
  TaskSpec spec;
  WallTime created_at{};
};

std::string FormatTaskManifest(const TaskManifest& manifest);

// kDataLoss: longer than kMaxTaskManifestBytes, not JSON, another schema, a field missing or out of
// its limits.
Result<TaskManifest> ParseTaskManifest(std::string_view text);

}  // namespace pyro::registry
