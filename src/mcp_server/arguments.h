// Arguments that several tools take, their schemas and their values. Handlers get what fits the
// schema; what is left out has its default here.

#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "mcp_server/schema.h"
#include "pyro/engine.h"

namespace pyro::mcp_server {

inline constexpr const char* kDefaultEnvironment = "debian:12";

// environment, vcpu_count, mem_mib, ttl_seconds, network, allow_host_compat. `lease`: what happens
// at the end of ttl_seconds.
Properties VmProperties(std::string_view lease);
void ReadVmOptions(const Json& arguments, VmOptions& options);

Json TimeoutSchema(std::string_view description);
std::int64_t ReadTimeout(const Json& arguments);

Json VmIdSchema();
Json TaskIdSchema();

Json VmSchema();    // Of vm_create and the like.
Json TaskSchema();  // Of task_create and the like.

// kInvalidArgument: one of the arguments is an empty string, which stands for nothing.
Status CheckNoneEmpty(const Json& arguments);

std::string TextOr(const Json& arguments, const char* name, std::string otherwise);
std::int64_t IntOr(const Json& arguments, const char* name, std::int64_t otherwise);
bool FlagOr(const Json& arguments, const char* name, bool otherwise);

}  // namespace pyro::mcp_server
