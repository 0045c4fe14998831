#include "engine/capture.h"

namespace pyro::engine {

Result<std::size_t> CaptureSink::Write(OutputStream stream, std::string_view bytes) {
  (stream == OutputStream::kStdout ? out_ : err_).Append(bytes);
  return bytes.size();
}

void CaptureSink::Fill(ExecResult& result) const {
  if (callers_ != nullptr) return;
  result.stdout_text = out_.Text();
  result.stderr_text = err_.Text();
  result.stdout_truncated = out_.truncated();
  result.stderr_truncated = err_.truncated();
}

}  // namespace pyro::engine
