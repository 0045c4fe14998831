// Arguments of tools: their schemas and their values, from the rows of requests (src/api). Handlers
// get what fits the schema.

#pragma once

#include "api/rows.h"
#include "base/json.h"
#include "pyro/engine.h"

namespace pyro::mcp_server {

// The closed schema of all arguments. `host_paths`: with those that name paths of the host.
Json SchemaOf(const api::Struct& rows, bool host_paths);

// Sets the fields of `object` that the arguments have, and what models need not give.
// kInvalidArgument: a path of the host is not absolute.
Status ReadArguments(const api::Struct& rows, const Json& arguments, void* object);

template <typename T>
Result<T> ReadArguments(const Json& arguments) {
  T request;
  const Status read = ReadArguments(api::Rows<T>(), arguments, &request);
  if (!read) return read.error();
  return request;
}

// kInvalidArgument: one of the arguments is an empty string, which stands for nothing. The content
// of a file and a stdin may be empty.
Status CheckNoneEmpty(const Json& arguments);

}  // namespace pyro::mcp_server
