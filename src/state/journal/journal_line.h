// The lines of tasks/<id>/journal.jsonl as text, there and back. Pure; it treats the file as input
// from outside.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "state/journal/command_record.h"

namespace pyro::state {

// More than a command's message on the wire can become here.
inline constexpr std::size_t kMaxJournalLineBytes = 4 * 1024 * 1024;
inline constexpr std::int64_t kMaxSequence = 1'000'000'000;
// Of one task, restored from files.
inline constexpr std::size_t kMaxReplayedCommands = 1'000'000;

struct JournalLine {
  std::int64_t sequence = 1;
  std::variant<CommandBegin, CommandEnd> what;
};

// Without a newline, in it or after it.
std::string FormatJournalLine(const JournalLine& line);

// kDataLoss: longer than kMaxJournalLineBytes, not JSON, a field missing or out of its limits.
Result<JournalLine> ParseJournalLine(std::string_view text);

// Puts the lines of one file together again.
class JournalReplay {
 public:
  // In the order of the file. The first line of a kind for a sequence counts; others, and malformed
  // lines, are counted as bad.
  void Add(std::string_view line);

  // A command that existed, whose lines may be lost.
  void AddUnknown(std::int64_t sequence);

  std::uint64_t bad_lines() const { return bad_lines_; }

  // Ascending; `end` is empty if there was no such line.
  std::vector<CommandRecord> Finish(const InstanceId& id) &&;

 private:
  struct Parts {
    std::optional<CommandBegin> begin;
    std::optional<CommandEnd> end;
  };
  Parts* PartsOf(std::int64_t sequence);

  std::map<std::int64_t, Parts> commands_;
  std::uint64_t bad_lines_ = 0;
};

}  // namespace pyro::state
