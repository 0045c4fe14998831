// Collects a command's output for a result, bounded.

#pragma once

#include "base/head_tail.h"
#include "pyro/engine.h"

namespace pyro::engine {

// Of a call whose caller may have a sink of its own: then that one gets the output.
class CaptureSink : public OutputSink {
 public:
  explicit CaptureSink(const CallIo& io) : callers_(io.sink) {}

  // The one to use. Borrowed.
  OutputSink* sink() { return callers_ != nullptr ? callers_ : this; }

  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override;

  // The text of both streams, without their total sizes. Empty if the caller's sink got it.
  void Fill(ExecResult& result) const;

 private:
  OutputSink* callers_;
  HeadTail out_{kMaxResultBytes / 2, kMaxResultBytes / 2};
  HeadTail err_{kMaxResultBytes / 2, kMaxResultBytes / 2};
};

}  // namespace pyro::engine
