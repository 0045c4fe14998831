// Collects a command's output for a result, bounded.

#pragma once

#include "base/head_tail.h"
#include "pyro/engine.h"

namespace pyro::engine {

class CaptureSink : public OutputSink {
 public:
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override;

  // The text of both streams, without their total sizes.
  void Fill(ExecResult& result) const;

 private:
  HeadTail out_{kMaxResultBytes / 2, kMaxResultBytes / 2};
  HeadTail err_{kMaxResultBytes / 2, kMaxResultBytes / 2};
};

}  // namespace pyro::engine
