// tasks/<id>/manifest.json: the configuration of the task, to restore a lost registry. Written
// once, with the directory; the reader treats it as input from outside.

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
