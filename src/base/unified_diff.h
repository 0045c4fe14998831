// Unified diffs, as `git diff`, `diff -u` and `pyro task diff` print them: what they say of each
// file, and a file's content with a part of one applied. Pure functions; thread-safe.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro {

inline constexpr std::size_t kMaxDiffBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxDiffFiles = 20'000;

// The lines of a text, each with its newline, which the last one may lack.
std::vector<std::string_view> LinesOf(std::string_view text);

// One change of a file, with the lines around it. `body` points into the diff.
struct DiffHunk {
  std::int64_t old_line = 0;   // The first one, from 1. Of no lines, the one before them.
  std::int64_t old_count = 0;  // Lines that the old file has there.
  std::int64_t new_line = 0;
  std::int64_t new_count = 0;
  std::string_view body;  // Whole lines, in the right number.
  bool reverse = false;   // '-' stands for '+'.
};

struct DiffLine {
  char sign = ' ';        // ' ', '-' or '+'.
  std::string_view text;  // With its newline, unless the diff says that it has none.
};

// The lines of a hunk, one after the other.
class DiffLines {
 public:
  explicit DiffLines(const DiffHunk& hunk) : rest_(hunk.body), reverse_(hunk.reverse) {}
  bool Next(DiffLine& line);  // False: no more.

 private:
  std::string_view rest_;
  bool reverse_;
};

enum class DiffKind { kModified, kAdded, kRemoved, kRenamed, kCopied };
// In JSON and in records, such as "modified".
std::string_view Name(DiffKind kind);

// What a diff says of one file.
struct FileDiff {
  DiffKind kind = DiffKind::kModified;
  // From the directory that the diff is applied to; no part is empty, "." or "..". Of an added
  // file, and of a removed one, both are the same.
  std::string old_path;
  std::string new_path;
  // As git has them, such as 0100755 or 0120000; 0: the diff does not say.
  std::int64_t old_mode = 0;
  std::int64_t new_mode = 0;
  std::vector<DiffHunk> hunks;
  std::int64_t added = 0;  // Lines, by all hunks.
  std::int64_t removed = 0;
};

struct DiffOptions {
  std::int64_t strip = 1;  // So many directories are taken from the begin of each name.
  bool reverse = false;    // What the diff undoes.
};

struct ParsedDiff {
  std::vector<FileDiff> files;  // In the diff's order, which counts.
  // What the diff mentions and does not have, one sentence each.
  std::vector<std::string> notices;
};

// `text` ends with a newline and outlives the answer. Text around the files, as of a mail, is
// ignored. kInvalidArgument: the diff is malformed, or has what cannot be applied, such as a binary
// file; the message has the line's number, and the error the path where one is known. kLimit: too
// large.
Result<ParsedDiff> ParseDiff(std::string_view text, const DiffOptions& options);

// A hunk that was found at another line than the diff says.
struct DiffOffset {
  std::int64_t hunk = 0;   // From 1.
  std::int64_t lines = 0;  // Further down; below 0: further up.
};

struct AppliedDiff {
  std::string content;
  std::vector<DiffOffset> offsets;
};

// The content after all hunks of the file. Each has to be there exactly, at any line behind the one
// before; what is nearest to its own line counts. kConflict: a hunk is nowhere; the message names
// it and what the file has there instead.
Result<AppliedDiff> ApplyDiff(const FileDiff& file, std::string_view content);

}  // namespace pyro
