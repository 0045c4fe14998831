// Resources, which a client can read by URI, and watch.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "mcp/protocol/call_context.h"
#include "mcp/protocol/content.h"
#include "pyro/result.h"

namespace pyro::mcp {

// The time for which a client may keep a result, and whether it may share it between users.
struct CacheHint {
  std::int64_t ttl_ms = 0;
  bool shared = false;
};

struct ResourceInfo {
  std::string uri;
  std::string name;
  std::string title;
  std::string description;
  std::string mime_type;
  std::optional<std::uint64_t> size;  // Bytes.
};

// Values of a template's variables, percent-decoded; empty for a resource with a fixed URI.
using UriVariables = std::map<std::string, std::string>;

// kInvalidArgument and kNotFound: there is no such resource. Any other error is an internal error
// to the client. May block.
using ReadHandler = std::function<Result<std::vector<ResourceContents>>(
    CallContext& call, const std::string& uri, const UriVariables& variables)>;

// Candidates for an argument that begins with `value`, best first; `others` are the arguments
// already chosen. More than 100 are cut. May block.
using CompletionHandler = std::function<Result<std::vector<std::string>>(
    CallContext& call, const std::string& value, const std::map<std::string, std::string>& others)>;

struct Resource {
  ResourceInfo info;
  CacheHint cache;
  ReadHandler read;
};

// `uri_template` holds variables: {name} stands for one or more characters other than '/', {+name}
// for one or more of any.
struct ResourceTemplate {
  std::string uri_template;
  std::string name;
  std::string title;
  std::string description;
  std::string mime_type;
  CacheHint cache;
  ReadHandler read;
  std::map<std::string, CompletionHandler> completions;  // By variable.
};

// Resources that come and go, listed after the fixed ones. Each must be readable through a
// template. May block.
using ResourceLister = std::function<Result<std::vector<ResourceInfo>>(CallContext& call)>;

// The first client began to watch a URI, or the last one stopped. Called on a worker thread, in
// order for each URI.
enum class Watch { kStarted, kStopped };
using WatchHandler = std::function<void(const std::string& uri, Watch watch)>;

}  // namespace pyro::mcp
