// Cuts a stream of bytes into lines of bounded length.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pyro::mcp {

// Not thread-safe. Holds at most one line and the bytes fed last.
class LineReader {
 public:
  explicit LineReader(std::size_t max_line) : max_line_(max_line) {}

  void Feed(std::string_view bytes) { buffer_.append(bytes); }

  struct Line {
    std::string text;       // Without its end, "\n" or "\r\n".
    bool too_long = false;  // Then the text is empty; the line was skipped.
  };
  // nullopt: no line is complete. A line that is too long is reported once, as soon as it is.
  std::optional<Line> Next();

  // At the end of the stream, after Next() has given nullopt: what stands behind the last newline.
  std::optional<Line> Rest();

 private:
  const std::size_t max_line_;
  std::string buffer_;
  std::size_t begin_ = 0;    // Of the first line that was not returned.
  std::size_t scanned_ = 0;  // Up to here there is no end of a line.
  bool skipping_ = false;
};

}  // namespace pyro::mcp
