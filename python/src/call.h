// One call of the engine on behalf of a Python thread.
//
// The GIL is free while the engine works. Callbacks and signal handlers run on the thread that made
// the call. If one of them raises, the call is cancelled and raises that exception.

#pragma once

#include <functional>
#include <string_view>

#include <pybind11/pybind11.h>

#include "base/head_tail.h"
#include "base/json.h"
#include "pyro/engine.h"

namespace pyro::python {

// The Python thread that made the call.
class Caller {
 public:
  virtual ~Caller() = default;

  // Runs `what` there, with the GIL held, and returns when it is done. False: the call is being
  // cancelled, because `what` or an earlier one threw or a signal's handler raised.
  virtual bool Run(const std::function<void()>& what) = 0;
};

// Runs `work` and returns when it has ended. It must end soon after `cancel_fd` (-1: none) has
// become readable. Called with the GIL held; `work` runs without it, perhaps on a thread of its
// own. If the call ends by an exception although `work` has ended, `undo` runs, without the GIL.
// Throws the exception that a callback or a signal's handler threw.
void RunCall(const std::function<void(int cancel_fd, Caller& caller)>& work,
             const std::function<void()>& undo);

// Collects a command's output for its result and passes it to callbacks as it arrives.
class CallbackSink : public OutputSink {
 public:
  // The callbacks take bytes; either may be None.
  CallbackSink(Caller& caller, pybind11::handle on_stdout, pybind11::handle on_stderr)
      : caller_(caller), callbacks_{on_stdout, on_stderr} {}

  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override;

  // Of a command that ran.
  void Fill(Json& result) const;

 private:
  Caller& caller_;
  pybind11::handle callbacks_[2];
  HeadTail kept_[2] = {{kMaxResultBytes / 2, kMaxResultBytes / 2},
                       {kMaxResultBytes / 2, kMaxResultBytes / 2}};
};

}  // namespace pyro::python
