// The common part of the files of `pyro task`. Each verb adds itself to the parser.

#pragma once

#include <string>

#include "front/cli/commands.h"
#include "pyro/calls.h"
#include "pyro/engine.h"

namespace pyro::cli {

void AddTaskExec(CLI::App& task, Context& context);
void AddTaskWait(CLI::App& task, Context& context);
void AddTaskLogs(CLI::App& task, Context& context);
void AddTaskExport(CLI::App& task, Context& context);
void AddTaskNetwork(CLI::App& task, Context& context);
void AddTaskSnapshots(CLI::App& task, Context& context);
void AddTaskPs(CLI::App& task, Context& context);
void AddTaskProcesses(CLI::App& task, Context& context);
void AddTaskHands(CLI::App& task, Context& context);
void AddTaskCp(CLI::App& task, Context& context);
void AddTaskSync(CLI::App& task, Context& context);
void AddTaskFiles(CLI::App& task, Context& context);
void AddTaskPatch(CLI::App& task, Context& context);

void PrintTasks(const Context& context, const TaskList& list, bool quiet);

// Such as "exit_code=1" or "running for 12 s".
std::string HowItEnded(const TaskCommand& command);

// Such as "Command 3: exited (exit_code=1)" and a line's end, also of one that still runs.
std::string EndLine(const TaskCommand& command);

// A command on one line, fit for a terminal.
std::string OneLine(const TaskCommand& command);

}  // namespace pyro::cli
