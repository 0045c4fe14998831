// Output cut to fit a model's context: its beginning, its end, and between them a line that says
// how much is missing and which call reads it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/engine.h"

namespace pyro::mcp_server {

// Bytes of each end that are kept of a stream at most.
inline constexpr std::size_t kEndBytes = 8 * 1024;
// The limits of one stream, and of both together, in a result, in bytes of JSON.
inline constexpr std::size_t kStreamBudget = 16 * 1024;
inline constexpr std::size_t kResultBudget = 23 * 1024;

// The number of bytes that the text takes inside a JSON string.
std::size_t JsonCost(std::string_view text);

// The longest prefix of at most that cost that ends at a character.
std::string_view PrefixWithin(std::string_view text, std::size_t cost);
// The longest suffix of at most that cost that begins at a character.
std::string_view SuffixWithin(std::string_view text, std::size_t cost);

// A stream's two ends. If they are all of it, `tail` is empty.
struct Ends {
  std::string head;
  std::string tail;
  std::uint64_t total_bytes = 0;

  bool whole() const { return head.size() == total_bytes; }
};

struct Excerpt {
  std::string text;
  bool truncated = false;
  std::uint64_t head_bytes = 0;  // How much of the beginning is in it.
};

// `rest`: the call that reads the rest, for the line in the middle; {offset} in it becomes the
// first missing byte.
Excerpt Cut(const Ends& ends, std::size_t budget, std::string_view rest);

// Divides the budget of a result between two streams: none gets more than it needs or than
// kStreamBudget.
struct Shares {
  std::size_t out = 0;
  std::size_t err = 0;
};
Shares ShareBudget(const Ends& out, const Ends& err, std::size_t budget = kResultBudget);

// Collects the ends of both streams of a command without a journal. Belongs to one thread.
class EndsSink : public OutputSink {
 public:
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override;

  Ends Take(OutputStream stream) const;

 private:
  struct Stream {
    std::string head;
    std::string tail;
    std::uint64_t total = 0;
  };
  const Stream& Of(OutputStream stream) const {
    return stream == OutputStream::kStdout ? out_ : err_;
  }

  Stream out_;
  Stream err_;
};

// The words of a command, cut to `budget` bytes.
std::vector<std::string> CutWords(const std::vector<std::string>& words, std::size_t budget);

}  // namespace pyro::mcp_server
