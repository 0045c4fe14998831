#include "front/cli/call.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "api/json.h"
#include "front/cli/output.h"
#include "front/cli/signals.h"

namespace pyro::cli {

int Fail(const Error& error, const Context& context) {
  if (error.code == ErrorCode::kCancelled && CaughtSignal() != 0) {
    if (context.json) PrintJson(ToJson(error));
    (void)TakePrintError();
    return 128 + CaughtSignal();
  }
  if (error.sys_errno == EPIPE) return 128 + SIGPIPE;
  ReportError(error, context.json);
  return context.failure_code;
}

int CheckPrinted(const Context& context, const std::string& hint) {
  const Status printed = TakePrintError();
  if (printed) return kExitOk;
  Error error = printed.error();
  error.hint = hint;
  ReportError(error, false);
  return error.sys_errno == EPIPE ? 128 + SIGPIPE : context.failure_code;
}

Progress::Style StyleOf(const Context& context, bool quiet) {
  return quiet || context.json ? Progress::Style::kQuiet : Progress::Style::kTransient;
}

Call::Call(Progress::Style style, std::string subject)
    : progress_(style, std::move(subject)), sink_(progress_) {
  progress_.Connect(io_);
  io_.cancel_fd = CatchSignals();
}

void Call::PassStdin() { io_.stdin_fd = STDIN_FILENO; }

}  // namespace pyro::cli
