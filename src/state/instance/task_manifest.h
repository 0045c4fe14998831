// tasks/<id>/manifest.json: the configuration of the task, to restore a lost registry. Written
// once, with the directory; the reader treats it as input from outside.

#pragma once

#include <string>
#include <string_view>

#include "pyro/result.h"
#include "state/instance/instance_record.h"

namespace pyro::state {

inline constexpr int kTaskManifestSchema = 1;
inline constexpr std::size_t kMaxTaskManifestBytes = 64 * 1024;

// The task's id, and its fields with a manifest_limit (instance_record.h).
std::string FormatTaskManifest(const InstanceRecord& task);

// The record as it was at the creation. kDataLoss: longer than kMaxTaskManifestBytes, not JSON,
// another schema, a field missing or out of its limits.
Result<InstanceRecord> ParseTaskManifest(std::string_view text);

}  // namespace pyro::state
