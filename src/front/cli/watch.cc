// pyro watch

#include "pyro/watch.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/event.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/signals.h"

namespace pyro::cli {
namespace {

constexpr int kGatherMs = 20;  // After an event, for those that come with it.

std::string TextOf(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kPresent:
      return std::string(Name(event.state)) + " before";
    case Event::Kind::kCommandBegan:
      return fmt::format("command {} began: {}", event.sequence,
                         Printable(ShellJoin(event.command), 200));
    case Event::Kind::kOutput:
      return fmt::format("command {} {}: {} bytes", event.sequence, Name(event.stream),
                         event.bytes);
    case Event::Kind::kCommandEnded:
      return fmt::format("command {} ended: {} (exit_code={})", event.sequence, Name(event.outcome),
                         event.exit_code);
    case Event::Kind::kStopped:
      return event.last_error.empty() ? "stopped" : "stopped: " + Printable(event.last_error, 500);
    case Event::Kind::kEnvironments:
      return "environments changed";
    case Event::Kind::kCreated:
    case Event::Kind::kStarted:
    case Event::Kind::kDeleted:
      break;
  }
  return std::string(Name(event.kind));
}

std::string EventLine(const Event& event, const Context& context) {
  if (context.json) return ToJsonLine(ToJson(event)) + "\n";
  return fmt::format("{} {}{}{}\n", event.at, event.id, event.id.empty() ? "" : " ", TextOf(event));
}

// Waits for events, and returns 0. If a signal or the end of our reader comes first: the exit code.
int AwaitEvents(const EventStream& stream, int cancel_fd) {
  // Of a descriptor without events poll() tells that a pipe or a socket has no reader any more.
  std::array<pollfd, 3> polls = {
      {{cancel_fd, POLLIN, 0}, {STDOUT_FILENO, 0, 0}, {stream.fd(), POLLIN, 0}}};
  ::poll(polls.data(), polls.size(), -1);
  if (polls[2].revents != 0) ::poll(polls.data(), 2, kGatherMs);
  if (polls[0].revents != 0) return 128 + CaughtSignal();
  return (polls[1].revents & (POLLERR | POLLHUP)) != 0 ? 128 + SIGPIPE : 0;
}

int WatchEvents(Engine& engine, const Context& context, const std::string& id) {
  Call call(Progress::Style::kQuiet, id);
  const auto stream = engine.Watch(id);
  if (!stream) return Fail(stream.error(), context);
  while (true) {
    const auto events = (*stream)->Next(std::chrono::milliseconds(0), call.io());
    if (!events) return Fail(events.error(), context);
    bool deleted = false;
    for (const Event& event : *events) {
      Print(EventLine(event, context));
      deleted = event.kind == Event::Kind::kDeleted;
    }
    const int printed = CheckPrinted(context, "events were lost; watch again");
    if (printed != kExitOk) return printed;
    // Nothing can happen to it any more.
    if (deleted && !id.empty()) return kExitOk;
    // That is how a stream of lines ends, and no error document belongs into it.
    if (const int ended = AwaitEvents(**stream, call.io().cancel_fd); ended != 0) return ended;
  }
}

}  // namespace

void AddWatch(CLI::App& app, Context& context) {
  const auto id = std::make_shared<std::string>();
  CLI::App* watch = app.add_subcommand("watch", "Show what happens to VMs and tasks, line by line");
  watch->add_option("id", *id, "A VM or a task, by its id or the beginning; without it, all")
      ->type_name("ID");
  AddJson(watch, context);
  watch->footer(
      "It begins with what is there, and goes on until Ctrl-C; that of one VM or task\n"
      "also ends when it is deleted. With --json each line is a document.\n\n"
      "Example:\n  pyro watch\n  pyro watch --json $id");
  OnChosen(watch, context,
           [&context, id](Engine& engine) { return WatchEvents(engine, context, *id); });
}

}  // namespace pyro::cli
