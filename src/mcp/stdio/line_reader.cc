#include "mcp/stdio/line_reader.h"

#include <algorithm>

namespace pyro::mcp {

std::optional<LineReader::Line> LineReader::Next() {
  while (true) {
    const std::size_t end = buffer_.find('\n', std::max(begin_, scanned_));
    if (end == std::string::npos) {
      buffer_.erase(0, begin_);
      begin_ = 0;
      scanned_ = buffer_.size();
      if (skipping_) {
        buffer_.clear();
        scanned_ = 0;
        return std::nullopt;
      }
      if (buffer_.size() <= max_line_) return std::nullopt;
      skipping_ = true;
      buffer_.clear();
      scanned_ = 0;
      return Line{"", true};
    }
    std::string_view line(buffer_.data() + begin_, end - begin_);
    begin_ = end + 1;
    if (skipping_) {
      skipping_ = false;
      continue;
    }
    if (line.size() > max_line_) return Line{"", true};
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return Line{std::string(line), false};
  }
}

std::optional<LineReader::Line> LineReader::Rest() {
  if (buffer_.empty() || skipping_) return std::nullopt;
  Feed("\n");
  return Next();
}

}  // namespace pyro::mcp
