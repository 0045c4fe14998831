#include "base/unified_diff.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/diff_names.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro {
namespace {

constexpr std::int64_t kGitTypes = 0170000;
constexpr std::int64_t kGitFile = 0100000;
constexpr std::int64_t kGitLink = 0120000;
constexpr std::int64_t kMaxDiffLine = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kMaxDiffPath = 4095;
constexpr std::size_t kMaxDiffHeader = 2 * (4 * kMaxDiffPath + 3);  // Each byte may be an escape.
constexpr std::size_t kMaxNotices = 20;

// Of a line of the text, with its newline; moves on.
std::string_view CutLine(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end);
  return line;
}

std::string_view WithoutNewline(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  return line;
}

std::optional<std::string_view> After(std::string_view line, std::string_view prefix) {
  if (!line.starts_with(prefix)) return std::nullopt;
  return line.substr(prefix.size());
}

// Of a file without a newline at its end. Its words are those of a language, as git has it too.
bool MarksMissingNewline(std::string_view line) {
  constexpr std::size_t kShortest = 12;
  return line.starts_with("\\ ") && line.size() >= kShortest;
}

// One side of a file, as "---" or "+++" has it.
struct Side {
  std::string name;
  bool absent = false;
};

class DiffParser {
 public:
  DiffParser(std::string_view text, const DiffOptions& options) : rest_(text), options_(options) {}

  Result<ParsedDiff> Parse() {
    while (!rest_.empty()) {
      PYRO_RETURN_IF_ERROR(ParseNext());
      if (diff_.files.size() > kMaxDiffFiles) {
        return MakeError(ErrorCode::kLimit,
                         fmt::format("the patch is of more than {} files", kMaxDiffFiles),
                         "apply it in parts");
      }
    }
    if (diff_.files.empty()) {
      return MakeError(ErrorCode::kInvalidArgument, "the patch names no file",
                       "give a unified diff, as 'git diff' or 'diff -u' print it");
    }
    if (options_.reverse) PYRO_RETURN_IF_ERROR(Reverse());
    return std::move(diff_);
  }

 private:
  std::string_view Peek() const {
    std::string_view rest = rest_;
    return rest.empty() ? rest : WithoutNewline(CutLine(rest));
  }

  std::string_view Take() {
    ++line_;
    return WithoutNewline(CutLine(rest_));
  }

  // About the line that was taken last.
  Error Wrong(std::string_view what, const std::string& path = {}) const {
    Error error =
        MakeError(ErrorCode::kInvalidArgument, fmt::format("line {} of the patch: {}", line_, what),
                  "give a unified diff, as 'git diff' or 'diff -u' print it");
    error.path = path;
    return error;
  }

  Error NoBinary(const std::string& path) const {
    Error error = Wrong(
        fmt::format("'{}' is a binary file, of which no patch is applied", Printable(path)), path);
    error.hint = "copy it into the task, and leave it out of the patch";
    return error;
  }

  Status ParseNext() {
    const std::string_view line = Take();
    if (line.starts_with("diff --git ")) return ParseGit(line);
    if (line.starts_with("diff --cc ") || line.starts_with("diff --combined ")) {
      return Wrong("a combined diff of a merge cannot be applied");
    }
    if (line.starts_with("@@ -")) return Wrong("a hunk without the name of its file");
    if (const auto both = After(line, "Binary files "); both && line.ends_with(" differ")) {
      const std::string_view names = both->substr(0, both->size() - 7);
      const std::size_t second = names.rfind(" and ");
      const std::string_view name =
          second == std::string_view::npos ? names : names.substr(second + 5);
      return NoBinary(StripDirectories(name, options_.strip).value_or(std::string(name)));
    }
    // The last two are of 'pyro task diff'.
    if ((line.starts_with("Only in ") ||
         (line.starts_with("# ") && (line.ends_with(": too large to be shown") ||
                                     line.ends_with(": it could not be read")))) &&
        diff_.notices.size() < kMaxNotices) {
      diff_.notices.push_back(fmt::format(
          "the patch does not have the content of what it calls '{}'", Printable(line)));
    }
    if (line.starts_with("--- ") && Peek().starts_with("+++ ") && HunkIsSecond()) {
      FileDiff file;
      PYRO_RETURN_IF_ERROR(ParseSides(line, file));
      return Finish(std::move(file));
    }
    return OkStatus();
  }

  // A "---" of a mail is none of a file.
  bool HunkIsSecond() const {
    std::string_view rest = rest_;
    CutLine(rest);
    return rest.starts_with("@@ -");
  }

  // The file's name, if both names are the same without their first directories.
  std::optional<std::string> NameInHeader(std::string_view names) const {
    // Of two names that are too long nothing is told, and a search among them would take long.
    if (names.size() > kMaxDiffHeader) return std::nullopt;
    std::string_view rest = names;
    if (auto first = TakeQuoted(rest)) {
      auto second = rest.substr(0, 1) == " " ? rest.substr(1) : std::string_view();
      auto other = TakeQuoted(second);
      if (!other && !second.empty()) other = std::string(second);
      const auto name = StripDirectories(*first, options_.strip);
      return other && StripDirectories(*other, options_.strip) == name ? name : std::nullopt;
    }
    for (std::size_t at = names.find(' '); at != std::string_view::npos;
         at = names.find(' ', at + 1)) {
      const auto name = StripView(names.substr(0, at), options_.strip);
      if (!name || name->empty()) continue;
      std::string_view second = names.substr(at + 1);
      const auto quoted = TakeQuoted(second);
      if (!quoted && !second.ends_with(*name)) continue;
      if (StripView(quoted ? *quoted : second, options_.strip) == name) return std::string(*name);
    }
    return std::nullopt;
  }

  // Names of renames have no first directory such as "a/".
  Result<std::string> RenamedName(std::string_view text) const {
    std::string_view rest = text;
    auto name = TakeQuoted(rest);
    name = StripDirectories(name ? *name : text, std::max<std::int64_t>(0, options_.strip - 1));
    if (!name) return Wrong("a name has too few directories to strip");
    return std::move(*name);
  }

  Result<std::int64_t> ParseMode(std::string_view text) const {
    std::int64_t mode = 0;
    for (const char c : text) {
      if (c < '0' || c > '7' || mode > 0777777) return Wrong("a mode that is no octal number");
      mode = mode * 8 + (c - '0');
    }
    if ((mode & kGitTypes) != kGitFile && mode != kGitLink) {
      return Wrong(fmt::format("mode {} is that of no file and no symbolic link", Printable(text)));
    }
    return mode;
  }

  // A line of git's between the header and the first hunk. False: it is none.
  Result<bool> ParseExtended(std::string_view line, FileDiff& file) {
    const auto mode = [&](std::string_view text, std::int64_t& to) -> Result<bool> {
      PYRO_ASSIGN_OR_RETURN(to, ParseMode(text));
      return true;
    };
    const auto name = [&](std::string_view text, std::string& to, DiffKind kind) -> Result<bool> {
      PYRO_ASSIGN_OR_RETURN(to, RenamedName(text));
      file.kind = kind;
      return true;
    };
    if (const auto text = After(line, "old mode ")) return mode(*text, file.old_mode);
    if (const auto text = After(line, "new mode ")) return mode(*text, file.new_mode);
    if (const auto text = After(line, "new file mode ")) {
      file.kind = DiffKind::kAdded;
      return mode(*text, file.new_mode);
    }
    if (const auto text = After(line, "deleted file mode ")) {
      file.kind = DiffKind::kRemoved;
      return mode(*text, file.old_mode);
    }
    if (const auto text = After(line, "rename from ")) {
      return name(*text, file.old_path, DiffKind::kRenamed);
    }
    if (const auto text = After(line, "rename to ")) {
      return name(*text, file.new_path, DiffKind::kRenamed);
    }
    if (const auto text = After(line, "copy from ")) {
      return name(*text, file.old_path, DiffKind::kCopied);
    }
    if (const auto text = After(line, "copy to ")) {
      return name(*text, file.new_path, DiffKind::kCopied);
    }
    if (const auto text = After(line, "index ")) {
      const std::size_t space = text->find(' ');
      if (space == std::string_view::npos) return true;
      PYRO_ASSIGN_OR_RETURN(file.old_mode, ParseMode(text->substr(space + 1)));
      file.new_mode = file.old_mode;
      return true;
    }
    return line.starts_with("similarity index ") || line.starts_with("dissimilarity index ");
  }

  Status ParseGit(std::string_view header) {
    FileDiff file;
    const auto name = NameInHeader(header.substr(std::string_view("diff --git ").size()));
    bool said = false;  // More than the header.
    while (!rest_.empty()) {
      const std::string_view line = Peek();
      if (line == "GIT binary patch" || line.starts_with("Binary files ")) {
        Take();
        return NoBinary(!file.new_path.empty() ? file.new_path : name.value_or("a file"));
      }
      if (line.starts_with("--- ")) {
        Take();
        if (!Peek().starts_with("+++ ")) return Wrong("a '---' without its '+++'");
        PYRO_RETURN_IF_ERROR(ParseSides(line, file));
        said = true;
        break;
      }
      Take();
      auto extended = ParseExtended(line, file);
      if (!extended) {
        Error error = std::move(extended).error();
        error.path = name.value_or("");
        return error;
      }
      if (!*extended) {
        Return(line);
        break;
      }
      said = said || !line.starts_with("index ");
    }
    if (!said) return OkStatus();
    for (std::string* const path : {&file.old_path, &file.new_path}) {
      if (!path->empty()) continue;
      if (!name) return Wrong("the name of the file cannot be told from this header");
      *path = *name;
    }
    return Finish(std::move(file));
  }

  // Puts the line back that was taken last.
  void Return(std::string_view line) {
    --line_;
    rest_ = std::string_view(line.data(), rest_.size() + line.size() + 1);
  }

  Result<Side> ParseSide(std::string_view text) const {
    Side side;
    std::string_view rest = text;
    if (auto quoted = TakeQuoted(rest)) {
      side.name = std::move(*quoted);
    } else {
      side.name = text.substr(0, text.find('\t'));
    }
    if (side.name == "/dev/null") {
      side.absent = true;
      side.name.clear();
      return side;
    }
    const std::size_t tab = rest.find('\t');
    side.absent = tab != std::string_view::npos && IsEpoch(rest.substr(tab + 1));
    auto stripped = StripDirectories(side.name, options_.strip);
    if (!stripped) {
      Error error = Wrong(fmt::format("'{}' has fewer than {} directories to strip",
                                      Printable(side.name), options_.strip));
      error.hint = "strip takes fewer directories from the names";
      return error;
    }
    side.name = std::move(*stripped);
    return side;
  }

  // "---" was taken; then "+++" and hunks.
  Status ParseSides(std::string_view first, FileDiff& file) {
    PYRO_ASSIGN_OR_RETURN(const Side before, ParseSide(first.substr(4)));
    PYRO_ASSIGN_OR_RETURN(const Side after, ParseSide(Take().substr(4)));
    if (before.absent && after.absent) return Wrong("the file is on neither side");
    if (file.kind == DiffKind::kModified && before.absent) file.kind = DiffKind::kAdded;
    if (file.kind == DiffKind::kModified && after.absent) file.kind = DiffKind::kRemoved;
    if (file.kind == DiffKind::kModified || file.kind == DiffKind::kAdded ||
        file.kind == DiffKind::kRemoved) {
      // Of "x" and "x.orig" the one without an addition.
      std::string name = after.name;
      if (name.empty() || (!before.name.empty() && name.starts_with(before.name))) {
        name = before.name;
      }
      file.old_path = file.new_path = name;
    }
    while (Peek().starts_with("@@ -")) PYRO_RETURN_IF_ERROR(ParseHunk(file));
    if (file.hunks.empty()) return Wrong("no hunk follows", file.new_path);
    // A line too many would be lost without a word.
    const std::string_view next = Peek();
    if (!rest_.empty() && !next.empty() &&
        std::string_view(" +-\\").find(next[0]) != std::string_view::npos &&
        !next.starts_with("--- ") && next != "-- " && next != "--") {
      Take();
      return Wrong(next[0] == '\\' ? "a line with '\\' that marks no missing newline"
                                   : "a line behind the end of a hunk, whose numbers are too small",
                   file.new_path);
    }
    return OkStatus();
  }

  // Such as "12,3"; a count of 1 may be missing.
  static bool TakeRange(std::string_view& text, std::int64_t& line, std::int64_t& count) {
    const auto number = [&](std::int64_t& to) {
      std::size_t digits = 0;
      to = 0;
      while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
        to = to * 10 + (text[digits++] - '0');
        if (to > kMaxDiffLine) return false;
      }
      text.remove_prefix(digits);
      return digits > 0;
    };
    count = 1;
    if (!number(line)) return false;
    if (!text.starts_with(',')) return true;
    text.remove_prefix(1);
    return number(count);
  }

  Status ParseHunk(FileDiff& file) {
    DiffHunk hunk;
    std::string_view header = Take().substr(4);
    bool good = TakeRange(header, hunk.old_line, hunk.old_count) && header.starts_with(" +");
    if (good) header.remove_prefix(2);
    good = good && TakeRange(header, hunk.new_line, hunk.new_count) && header.starts_with(" @@");
    if (!good) return Wrong("a hunk's header is malformed", file.new_path);
    if (hunk.old_count + hunk.new_count == 0) return Wrong("a hunk of no lines", file.new_path);
    const std::string_view body = rest_;
    bool marked = true;  // No mark of a missing newline may follow.
    std::int64_t old_left = hunk.old_count;
    std::int64_t new_left = hunk.new_count;
    while (old_left > 0 || new_left > 0) {
      if (rest_.empty()) return Wrong("the patch ends within a hunk", file.new_path);
      const std::string_view line = Take();
      const char sign = line.empty() ? ' ' : line[0];
      if (MarksMissingNewline(line) && !std::exchange(marked, true)) continue;
      marked = false;
      if (sign != ' ' && sign != '-' && sign != '+') {
        return Wrong("a line of a hunk begins with no space, '-' or '+'", file.new_path);
      }
      file.added += sign == '+' ? 1 : 0;
      file.removed += sign == '-' ? 1 : 0;
      old_left -= sign != '+' ? 1 : 0;
      new_left -= sign != '-' ? 1 : 0;
      if (old_left < 0 || new_left < 0) {
        return Wrong("a hunk has other lines than its header says", file.new_path);
      }
    }
    if (MarksMissingNewline(Peek())) Take();
    hunk.body = body.substr(0, body.size() - rest_.size());
    file.hunks.push_back(hunk);
    return OkStatus();
  }

  Status CheckName(const std::string& name) const {
    bool good =
        !name.empty() && name.size() <= kMaxDiffPath && name.find('\0') == std::string::npos;
    for (const std::string_view part : Split(name, '/')) {
      good = good && !part.empty() && part != "." && part != "..";
    }
    if (good) return OkStatus();
    Error error = Wrong(fmt::format("'{}' is no name below a directory", Printable(name)), name);
    error.hint = "names are relative and have no '..'; strip takes directories from their begin";
    return error;
  }

  Status Finish(FileDiff file) {
    if (file.kind == DiffKind::kAdded) file.old_path = file.new_path;
    if (file.kind == DiffKind::kRemoved) file.new_path = file.old_path;
    PYRO_RETURN_IF_ERROR(CheckName(file.old_path));
    PYRO_RETURN_IF_ERROR(CheckName(file.new_path));
    const bool moved = file.kind == DiffKind::kRenamed || file.kind == DiffKind::kCopied;
    if (moved && file.old_path == file.new_path) {
      return Wrong("a file is moved to its own name", file.new_path);
    }
    diff_.files.push_back(std::move(file));
    return OkStatus();
  }

  Status Reverse() {
    std::reverse(diff_.files.begin(), diff_.files.end());
    for (FileDiff& file : diff_.files) {
      if (file.kind == DiffKind::kCopied) {
        Error error = MakeError(
            ErrorCode::kInvalidArgument,
            fmt::format("the copy '{}' cannot be undone by its patch", Printable(file.new_path)),
            "'git diff --no-renames' prints no copies");
        error.path = file.new_path;
        return error;
      }
      std::swap(file.old_path, file.new_path);
      std::swap(file.old_mode, file.new_mode);
      std::swap(file.added, file.removed);
      if (file.kind == DiffKind::kAdded) {
        file.kind = DiffKind::kRemoved;
      } else if (file.kind == DiffKind::kRemoved) {
        file.kind = DiffKind::kAdded;
      }
      for (DiffHunk& hunk : file.hunks) {
        std::swap(hunk.old_line, hunk.new_line);
        std::swap(hunk.old_count, hunk.new_count);
        hunk.reverse = true;
      }
    }
    return OkStatus();
  }

  std::string_view rest_;
  const DiffOptions& options_;
  std::int64_t line_ = 0;  // Of the one that was taken last.
  ParsedDiff diff_;
};

}  // namespace

std::vector<std::string_view> LinesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) lines.push_back(CutLine(text));
  return lines;
}

bool DiffLines::Next(DiffLine& line) {
  if (rest_.empty()) return false;
  std::string_view text = CutLine(rest_);
  line.sign = text == "\n" ? ' ' : text[0];
  // Some programs take the space of an empty line away.
  if (text != "\n") text.remove_prefix(1);
  if (rest_.starts_with('\\')) {
    text = WithoutNewline(text);
    CutLine(rest_);
  }
  if (reverse_ && line.sign != ' ') line.sign = line.sign == '-' ? '+' : '-';
  line.text = text;
  return true;
}

std::string_view Name(DiffKind kind) {
  constexpr std::array<std::string_view, 5> kNames = {"modified", "added", "removed", "renamed",
                                                      "copied"};
  const auto index = static_cast<std::size_t>(kind);
  return index < kNames.size() ? kNames[index] : std::string_view();
}

Result<ParsedDiff> ParseDiff(std::string_view text, const DiffOptions& options) {
  if (text.size() > kMaxDiffBytes) {
    return MakeError(ErrorCode::kLimit,
                     fmt::format("the patch is larger than {}", FormatBytes(kMaxDiffBytes)),
                     "apply it in parts");
  }
  return DiffParser(text, options).Parse();
}

}  // namespace pyro
