// The one JSON form of each value: what --json prints, Python returns and MCP sends. Names are
// stable.

#pragma once

#include <nlohmann/json_fwd.hpp>

#include "pyro/error.h"
#include "pyro/types.h"

namespace pyro {

nlohmann::json ToJson(const Error& error);
nlohmann::json ToJson(const ExecResult& result);
nlohmann::json ToJson(const VmInfo& vm);
nlohmann::json ToJson(const VmNetworkInfo& network);
nlohmann::json ToJson(const std::vector<EnvironmentInfo>& environments);
nlohmann::json ToJson(const EnvironmentDetails& details);
nlohmann::json ToJson(const PulledEnvironment& pulled);
nlohmann::json ToJson(const PrunedEnvironments& pruned);
nlohmann::json ToJson(const ReapedVms& reaped);
nlohmann::json ToJson(const DoctorReport& report);

}  // namespace pyro
