// The end of a command as a tool's result: for programs and for models, each complete by itself.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "front/mcp/excerpt.h"
#include "mcp/protocol/tool.h"
#include "pyro/engine.h"

namespace pyro::mcp_server {

using Notices = std::vector<std::string>;

// Without members that are null, at any depth, so that schemas need no lists of types, and with
// secrets by their names alone.
Json ForModels(Json value);

// A value for models and without the usual (see DropUsual); the text is the same as JSON.
mcp::ToolResult ValueResult(Json form);

// Puts notices into the form, such as that the task was started again. The same as lines.
std::string TellNotices(Json& form, const Notices& notices);

// Takes away what helps no reader: the usual directory and mode, flags that are off, counts of
// nothing, and what the server's instructions say for all commands.
void DropUsual(Json& form);

// Of a one-shot VM: output that is not in the result is lost.
mcp::ToolResult RunResult(const ExecResult& result, const EndsSink& output, const Notices& notices);

// Of a command in a task, which has ended; `task_id` is whole.
Result<mcp::ToolResult> TaskCommandResult(Engine& engine, const std::string& task_id,
                                          std::int64_t sequence, bool restarted,
                                          const Notices& notices);
// Of one that goes on, with its output so far.
Result<mcp::ToolResult> RunningResult(Engine& engine, const StartedTaskCommand& started,
                                      const Notices& notices);

// One journal entry with its output, which together take at most `budget` bytes of JSON.
Json EntryForm(const std::string& task_id, const TaskLogEntry& entry, std::size_t budget);

// Such an entry for models: a line of facts, then the output as it is. `with_command`: the line
// ends with the command.
enum class WithCommand { kNo, kYes };
std::string EntryText(const Json& entry, WithCommand with_command, const Notices& notices = {});

// Both: the form, and the text for models with `more` at its end.
mcp::ToolResult EntryResult(Json form, WithCommand with_command, const Notices& notices = {},
                            std::string_view more = "");

}  // namespace pyro::mcp_server
