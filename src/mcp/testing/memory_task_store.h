// MCP tasks that live as long as the process: for tests and fixtures.

#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "mcp/protocol/task_store.h"
#include "mcp/protocol/tool.h"

namespace pyro::mcp::testing {

// Thread-safe.
class MemoryTaskStore final : public TaskStore {
 public:
  // What the body of a task can do; valid while it runs.
  class Running {
   public:
    virtual ~Running() = default;
    // Waits until the time is over or the task is cancelled; false: it is cancelled.
    virtual bool Sleep(std::chrono::milliseconds time) = 0;
    // Waits for the client's answers. kCancelled.
    virtual Result<InputAnswers> RequestInput(const InputRequests& requests) = 0;
  };
  // A result, or a failure of the protocol.
  using Ended = std::variant<ToolResult, TaskFailure>;
  using Body = std::function<Ended(Running& running)>;

  ~MemoryTaskStore() override { Stop(); }

  // Cancels all tasks and waits for them: afterwards the listener is not called any more.
  void Stop();

  // The task is in the store when this returns. `changed` hears of each change.
  TaskState Start(const std::string& principal, Body body);
  void SetListener(std::function<void(const TaskState&)> changed);

  Result<TaskState> Get(const std::string& task_id, const std::string& principal) override;
  Status Cancel(const std::string& task_id, const std::string& principal) override;
  Status Answer(const std::string& task_id, const std::string& principal,
                const InputAnswers& answers) override;

 private:
  class Task;
  Result<std::shared_ptr<Task>> Find(const std::string& task_id, const std::string& principal);

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Task>> tasks_;
  std::vector<std::thread> threads_;
  std::function<void(const TaskState&)> changed_;
};

}  // namespace pyro::mcp::testing
