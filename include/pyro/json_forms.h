// The one JSON form of each value, for --json, Python and MCP. Names are stable.

#pragma once

#include <nlohmann/json_fwd.hpp>

#include "pyro/error.h"
#include "pyro/types.h"

namespace pyro {

nlohmann::json ToJson(const Error& error);
nlohmann::json ToJson(const ExecResult& result);
nlohmann::json ToJson(const VmInfo& vm);
nlohmann::json ToJson(const std::vector<VmInfo>& vms);
nlohmann::json ToJson(const VmNetworkInfo& network);
nlohmann::json ToJson(const TaskInfo& task);
nlohmann::json ToJson(const std::vector<TaskInfo>& tasks);
nlohmann::json ToJson(const TaskExecResult& result);
nlohmann::json ToJson(const TaskLogs& logs);
nlohmann::json ToJson(const TaskCommand& command);
nlohmann::json ToJson(const TaskCommandInfo& command);
nlohmann::json ToJson(const StartedTaskCommand& command);
nlohmann::json ToJson(const TaskCommandPage& page);
nlohmann::json ToJson(const TaskOutput& output);
nlohmann::json ToJson(const ExportedPath& exported);
nlohmann::json ToJson(const std::vector<EnvironmentInfo>& environments);
nlohmann::json ToJson(const EnvironmentDetails& details);
nlohmann::json ToJson(const PulledEnvironment& pulled);
nlohmann::json ToJson(const PrunedEnvironments& pruned);
nlohmann::json ToJson(const ReapedVms& reaped);
nlohmann::json ToJson(const SparePoolInfo& pool);
nlohmann::json ToJson(const std::vector<SparePoolInfo>& pools);
nlohmann::json ToJson(const DoctorReport& report);

}  // namespace pyro
