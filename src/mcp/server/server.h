// A server of the Model Context Protocol, independent of its transport.
//
//   Server server({.name = "example", .version = "1.0"});
//   PYRO_RETURN_IF_ERROR(server.AddTool({.name = "add", …, .handler = Add}));
//   PYRO_ASSIGN_OR_RETURN(StdioOptions stdio, TakeStdio());
//   return ServeStdio(server, std::move(stdio));
//
// Handlers may block: each call runs on one of a bounded number of worker threads, and the reader
// of clients never waits for one.

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "mcp/protocol/prompt.h"
#include "mcp/protocol/resource.h"
#include "mcp/protocol/task_store.h"
#include "mcp/protocol/tool.h"
#include "pyro/result.h"

namespace pyro::mcp {

class Core;

struct ServerLimits {
  std::size_t workers = 32;               // Calls that run at once.
  std::size_t queued_calls = 256;         // Calls that wait for a worker; further ones are refused.
  std::size_t calls_per_second = 100;     // Of tools, sustained; a burst may be ten times as many.
  std::size_t listens = 1024;             // Open subscriptions/listen requests.
  std::size_t watched_per_client = 1024;  // URIs that one legacy client may subscribe to.
  std::size_t page_size = 500;            // Entries of one page of a list.
  // The time for a legacy client's answer to a question.
  std::chrono::milliseconds answer_wait = std::chrono::minutes(10);
  // The time for an answer to an input_required.
  std::chrono::milliseconds state_lifetime = std::chrono::minutes(30);
};

struct ServerOptions {
  std::string name;
  std::string title;
  std::string version;
  std::string description;
  std::string website;       // A URL, or empty.
  std::string instructions;  // For models; at most kMaxDescription bytes.
  // Offers notifications/message to clients that ask; deprecated in the modern era.
  bool logging = false;
  // Called once, when a client has got its first answer of those that need no handler, such as that
  // to `initialize`. Must not wait.
  std::function<void()> on_client;
  CacheHint list_cache = {.ttl_ms = 300'000, .shared = true};  // Of all lists and of discover.
  ServerLimits limits;
};

// Thread-safe. Must outlive its transport.
class Server {
 public:
  explicit Server(ServerOptions options);
  // Cancels every call and waits for its handler to return.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Lists keep the order of additions. kInvalidArgument: an error in the description, such as a
  // schema with an unknown keyword; kAlreadyExists.
  Status AddTool(Tool tool);
  Status AddResource(Resource resource);
  Status AddResourceTemplate(ResourceTemplate resource_template);
  Status AddPrompt(Prompt prompt);
  // false: there was none of that name. Calls that run go on.
  bool RemoveTool(const std::string& name);
  bool RemovePrompt(const std::string& name);

  // Before serving; each at most once.
  void SetResourceLister(ResourceLister lister);
  void SetWatchHandler(WatchHandler handler);
  // Offers the tasks extension.
  void SetTaskStore(std::shared_ptr<TaskStore> store);

  // Notify the clients that asked for it. Callable at any time from any thread, also from handlers;
  // never wait.
  void NotifyResourceUpdated(const std::string& uri);
  void NotifyResourcesChanged();
  void NotifyToolsChanged();
  void NotifyPromptsChanged();
  void NotifyTask(const TaskState& state);

  // For its transport.
  Core& core() { return *core_; }

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace pyro::mcp
