// pyro's tools: one row each.

#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "api/field.h"
#include "base/json.h"
#include "front/mcp/host.h"
#include "mcp/protocol/tool.h"

namespace pyro::mcp_server {

// Adds the profile's tools, in the order in which they are listed.
Status AddTools(const Host& host);

// The handlers of tools whose result is more than that of their operation.
using Answer = Result<mcp::ToolResult>;

Answer RunInNewVm(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer ExecInVm(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer CreateVm(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer ListVms(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer KeepSpares(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer ListEnvironments(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer InspectEnvironment(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer CheckHost(const Host& host, mcp::CallContext& call, const Json& arguments);

Answer CreateTask(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer GetTaskStatus(const Host& host, mcp::CallContext& call, const Json& arguments);
// A page of a file or of a directory, and a whole file.
const api::Struct& FileReadRows();
Answer ReadFile(const Host& host, mcp::CallContext& call, const Json& arguments);
const api::Struct& FileWriteRows();
Answer WriteFile(const Host& host, mcp::CallContext& call, const Json& arguments);
// What the workspace has now, against a snapshot: a patch, cut to fit.
Answer DiffTask(const Host& host, mcp::CallContext& call, const Json& arguments);
// Makes, lists or deletes snapshots, or sets the disk back to one.
Answer UseSnapshot(const Host& host, mcp::CallContext& call, const Json& arguments);
const api::Struct& SnapshotArgumentRows();
// An open file of memory with that text, from its beginning; nullptr if it has none.
using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
Result<File> FileOf(const std::string& text);
Answer ListTasks(const Host& host, mcp::CallContext& call, const Json& arguments);
Answer DeleteTask(const Host& host, mcp::CallContext& call, const Json& arguments);
// Copies a path to the host, or brings what changed back to a directory there.
Answer ExportFromTask(const Host& host, mcp::CallContext& call, const Json& arguments);
const api::Struct& ExportArgumentRows();
// Of the task, or of one command of it.
Answer StopTask(const Host& host, mcp::CallContext& call, const Json& arguments);
const api::Struct& StopArgumentRows();
const api::Struct& CreateVmArgumentRows();

// The command is in the journal before the call waits for it. If it has not ended after
// Host::answer_after, it goes on without the call, and the result says how to read on. A client
// that cancels has it killed. If a client or a server is lost, the command goes on.
Answer ExecInTask(const Host& host, mcp::CallContext& call, const Json& arguments);
const api::Struct& ExecArgumentRows();

// The journal, one command of it, or a page of that command's output.
Answer ReadLogs(const Host& host, mcp::CallContext& call, const Json& arguments);
const api::Struct& LogsArgumentRows();

// The newest commands of a task with their output, for a model or a resource. `first` 0: the last
// `limit` ones.
Result<Json> JournalForm(Engine& engine, const std::string& task_id, std::int64_t first,
                         std::int64_t limit);
inline constexpr std::int64_t kMaxEntries = 20;

}  // namespace pyro::mcp_server
