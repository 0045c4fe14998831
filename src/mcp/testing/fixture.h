// What the conformance suite wants to find on a server, by its exact names and words.

#pragma once

#include "base/json.h"
#include "mcp/server/server.h"
#include "mcp/testing/memory_task_store.h"

namespace pyro::mcp::testing {

inline constexpr const char* kPngBase64 =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJg"
    "gg==";
inline constexpr const char* kWavBase64 =
    "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

// Written out in the source as JSON. Aborts if it is none.
Json FixtureJson(const char* text);
std::string FixtureBytes(const char* base64);
void MustAdd(const Status& status);

// All of what follows.
void AddAll(Server& server, const std::shared_ptr<MemoryTaskStore>& store);

void AddContentTools(Server& server);
void AddStreamTools(Server& server);
void AddInputTools(Server& server);
void AddTaskTools(Server& server, MemoryTaskStore& store);
void AddResources(Server& server);
void AddPrompts(Server& server);

// The other tools that tests of this library use.
void AddProbeTools(Server& server);

}  // namespace pyro::mcp::testing
