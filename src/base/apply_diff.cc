// Where the hunks of a unified diff are in a file, and the file after them.

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "base/unified_diff.h"

namespace pyro {
namespace {

using TextLines = std::vector<std::string_view>;

std::string_view TextOf(std::string_view line) { return line.substr(0, line.find('\n')); }

// A hunk as what is looked for and what takes its place.
struct Edit {
  TextLines before;
  TextLines after;
  std::int64_t leading = 0;  // Lines of context at its begin and its end.
  std::int64_t trailing = 0;
};

Edit EditOf(const DiffHunk& hunk) {
  Edit edit;
  DiffLines lines(hunk);
  bool changed = false;
  for (DiffLine line; lines.Next(line);) {
    if (line.sign != '+') edit.before.push_back(line.text);
    if (line.sign != '-') edit.after.push_back(line.text);
    changed = changed || line.sign != ' ';
    edit.trailing = line.sign == ' ' ? edit.trailing + 1 : 0;
    if (!changed) ++edit.leading;
  }
  return edit;
}

bool IsAt(const TextLines& lines, const TextLines& wanted, std::int64_t at) {
  const auto size = static_cast<std::int64_t>(wanted.size());
  return at >= 0 && at + size <= static_cast<std::int64_t>(lines.size()) &&
         std::equal(wanted.begin(), wanted.end(), lines.begin() + at);
}

// Where the lines are from `first` on, nearest to `about`. Takes as long as there are lines.
std::optional<std::int64_t> FindNearest(const TextLines& lines, const TextLines& wanted,
                                        std::int64_t first, std::int64_t about) {
  // How many lines of the begin the first so many lines end with.
  std::vector<std::size_t> again(wanted.size(), 0);
  for (std::size_t i = 1, matched = 0; i < wanted.size(); ++i) {
    while (matched > 0 && wanted[i] != wanted[matched]) matched = again[matched - 1];
    if (wanted[i] == wanted[matched]) ++matched;
    again[i] = matched;
  }
  std::optional<std::int64_t> found;
  std::size_t matched = 0;
  for (std::size_t i = static_cast<std::size_t>(first); i < lines.size(); ++i) {
    while (matched > 0 && lines[i] != wanted[matched]) matched = again[matched - 1];
    if (lines[i] == wanted[matched]) ++matched;
    if (matched < wanted.size()) continue;
    matched = again[matched - 1];
    const auto at = static_cast<std::int64_t>(i + 1 - wanted.size());
    const auto distance = [&](std::int64_t place) {
      return place < about ? about - place : place - about;
    };
    if (found && distance(at) > distance(*found)) break;
    found = at;
  }
  return found;
}

std::string Quoted(std::string_view line) {
  return fmt::format("'{}'", Printable(TextOf(line), 100));
}

// One line of the file that is not as the hunk has it.
std::string WhatIsThere(const TextLines& lines, const Edit& edit, std::int64_t at) {
  at = std::clamp<std::int64_t>(at, 0, static_cast<std::int64_t>(lines.size()));
  std::size_t i = 0;
  const auto there = static_cast<std::size_t>(at);
  while (i < edit.before.size() && there + i < lines.size() && lines[there + i] == edit.before[i]) {
    ++i;
  }
  const std::size_t line = there + i + 1;
  if (i == edit.before.size()) {
    return fmt::format("the file goes on at line {}, where the hunk wants its end", line);
  }
  if (there + i == lines.size()) {
    return fmt::format("the file ends before line {}, where the hunk has {}", line,
                       Quoted(edit.before[i]));
  }
  if (TextOf(lines[there + i]) == TextOf(edit.before[i])) {
    return fmt::format("the newline at the end of line {} is on one side alone", line);
  }
  return fmt::format("line {} is {}, where the hunk has {}", line, Quoted(lines[there + i]),
                     Quoted(edit.before[i]));
}

// The lines of a file with the hunks so far.
class Application {
 public:
  Application(const FileDiff& file, std::string_view content)
      : file_(file), lines_(LinesOf(content)) {}

  Result<AppliedDiff> Run() {
    for (const DiffHunk& hunk : file_.hunks) PYRO_RETURN_IF_ERROR(Apply(hunk));
    CopyUntil(static_cast<std::int64_t>(lines_.size()));
    return std::move(applied_);
  }

 private:
  void CopyUntil(std::int64_t line) {
    for (; done_ < line; ++done_) applied_.content += lines_[static_cast<std::size_t>(done_)];
  }

  Status Apply(const DiffHunk& hunk) {
    ++number_;
    const Edit edit = EditOf(hunk);
    const std::int64_t said = hunk.old_count == 0 ? hunk.old_line : hunk.old_line - 1;
    PYRO_ASSIGN_OR_RETURN(const std::int64_t at, Find(hunk, edit, said + offset_));
    offset_ = at - said;
    if (offset_ != 0) applied_.offsets.push_back({number_, offset_});
    CopyUntil(at);
    for (const std::string_view line : edit.after) applied_.content += line;
    done_ = at + static_cast<std::int64_t>(edit.before.size());
    return OkStatus();
  }

  Result<std::int64_t> Find(const DiffHunk& hunk, const Edit& edit, std::int64_t about) const {
    const auto size = static_cast<std::int64_t>(edit.before.size());
    const auto end = static_cast<std::int64_t>(lines_.size());
    if (size == 0) {
      // Nothing says where it belongs, unless the file is empty.
      if (end == 0) return std::int64_t{0};
      return NotThere(hunk, edit, about, "the hunk has no line of the file, which is not empty");
    }
    // Without lines around the change only its own line is its place. Less of them at one end means
    // the begin or the end of the file.
    const bool bare = edit.leading == 0 && edit.trailing == 0;
    const bool at_begin = !bare && hunk.old_line <= 1 && edit.leading < edit.trailing;
    const bool at_end = !bare && edit.trailing == 0;
    const auto good = [&](std::int64_t at) {
      return at >= done_ && (!at_begin || at == 0) && (!at_end || at + size == end) &&
             IsAt(lines_, edit.before, at);
    };
    if (good(about)) return about;
    if (at_begin && good(0)) return std::int64_t{0};
    if (at_end && good(end - size)) return end - size;
    if (!bare && !at_begin && !at_end) {
      if (const auto at = FindNearest(lines_, edit.before, done_, about)) return *at;
    }
    return NotThere(
        hunk, edit, about,
        WhatIsThere(lines_, edit,
                    at_end && IsAt(lines_, edit.before, about) ? about : std::max(about, done_)));
  }

  Error NotThere(const DiffHunk&, const Edit& edit, std::int64_t about,
                 const std::string& why) const {
    Error error = MakeError(ErrorCode::kConflict,
                            fmt::format("hunk {} of {} of '{}' does not apply: {}", number_,
                                        file_.hunks.size(), Printable(file_.old_path), why),
                            "make the patch from what the file has now");
    error.path = file_.old_path;
    if (!edit.after.empty() && edit.after != edit.before &&
        (IsAt(lines_, edit.after, about) || FindNearest(lines_, edit.after, done_, about))) {
      error.hint = "the file has this change already";
    }
    return error;
  }

  const FileDiff& file_;
  const TextLines lines_;
  std::int64_t done_ = 0;    // Lines of the old file that are copied or replaced.
  std::int64_t offset_ = 0;  // Of the last hunk.
  std::int64_t number_ = 0;  // Of the hunk.
  AppliedDiff applied_;
};

}  // namespace

Result<AppliedDiff> ApplyDiff(const FileDiff& file, std::string_view content) {
  return Application(file, content).Run();
}

}  // namespace pyro
