// MCP tasks (the protocol's extension) over the journals of pyro's tasks: an MCP task is one
// command. Its id names both, so any server of the same state directory answers for it, also one
// that was started after the first was killed.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mcp/protocol/task_store.h"
#include "pyro/engine.h"

namespace pyro::mcp_server {

// TASK_ID.SEQUENCE. A task's id holds 128 random bits; only a whole one is taken here.
std::string McpTaskId(std::string_view task_id, std::int64_t sequence);

struct CommandRef {
  std::string task_id;
  std::int64_t sequence = 0;
};
std::optional<CommandRef> ParseMcpTaskId(std::string_view id);

// As the journal has it now. `with_result`: with the result of a command that has ended.
enum class WithResult { kNo, kYes };
Result<mcp::TaskState> McpTaskState(Engine& engine, const TaskCommandInfo& command,
                                    WithResult with_result);

// `engine` outlives it.
class JournalTasks : public mcp::TaskStore {
 public:
  explicit JournalTasks(Engine& engine) : engine_(engine) {}

  Result<mcp::TaskState> Get(const std::string& id, const std::string& principal) override;
  Status Cancel(const std::string& id, const std::string& principal) override;
  // Commands have no questions: kNotFound, or no effect.
  Status Answer(const std::string& id, const std::string& principal,
                const mcp::InputAnswers& answers) override;

 private:
  Result<TaskCommandInfo> Find(const std::string& id);

  Engine& engine_;
};

}  // namespace pyro::mcp_server
