#include "archive/ignore.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/text.h"

namespace pyro::archive {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool IsSpecial(char c) { return c == '*' || c == '?' || c == '[' || c == '\\'; }

std::size_t PlainLength(std::string_view pattern) {
  return static_cast<std::size_t>(std::find_if(pattern.begin(), pattern.end(), IsSpecial) -
                                  pattern.begin());
}

std::string_view NameOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

// Git's own, and what pyro needs for a moment.
bool IsNoContent(std::string_view name) { return name == ".git" || name.starts_with(".pyro-"); }

// As git does it: a backslash keeps the space behind it.
std::string_view WithoutEndSpaces(std::string_view line) {
  std::size_t end = std::string_view::npos;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == ' ') {
      end = std::min(end, i);
      continue;
    }
    end = std::string_view::npos;
    if (line[i] == '\\' && ++i == line.size()) return line;
  }
  return line.substr(0, end);
}

// The classes of POSIX in ASCII, and no others.
bool IsOfClass(std::string_view name, unsigned char c, bool& known) {
  const bool upper = c >= 'A' && c <= 'Z';
  const bool lower = c >= 'a' && c <= 'z';
  const bool digit = c >= '0' && c <= '9';
  const bool visible = c > 0x20 && c < 0x7f;
  known = true;
  if (name == "alnum") return upper || lower || digit;
  if (name == "alpha") return upper || lower;
  if (name == "blank") return c == ' ' || c == '\t';
  if (name == "cntrl") return c < 0x20 || c == 0x7f;
  if (name == "digit") return digit;
  if (name == "graph") return visible;
  if (name == "lower") return lower;
  if (name == "print") return visible || c == ' ';
  if (name == "punct") return visible && !upper && !lower && !digit;
  if (name == "space") return c == ' ' || c == '\t' || c == '\n' || c == '\r';
  if (name == "upper") return upper;
  if (name == "xdigit") return digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  known = false;
  return false;
}

// As Go's path.Clean(), without a slash at the beginning.
std::string CleanPattern(std::string_view text) {
  const bool absolute = text.starts_with('/');
  std::vector<std::string_view> parts;
  for (const std::string_view part : Split(text, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (part != ".." || !absolute) {
      parts.push_back(part);
    }
  }
  std::string clean;
  for (const std::string_view part : parts) {
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

}  // namespace

IgnoreFile IgnoreFile::Parse(std::string_view text, Form form) {
  IgnoreFile file;
  file.form_ = form;
  if (text.size() > kMaxIgnoreFileBytes) {
    const std::string_view rest = text.substr(kMaxIgnoreFileBytes);
    file.left_out_ += 1 + static_cast<std::size_t>(std::count(rest.begin(), rest.end(), '\n'));
    text = text.substr(0, kMaxIgnoreFileBytes);
    text = text.substr(0, text.rfind('\n') + 1);  // Not a part of a rule.
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (std::string_view line : Split(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    if (form == Form::kGit) {
      file.AddGit(line);
    } else {
      file.AddDocker(line);
    }
  }
  return file;
}

void IgnoreFile::AddGit(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  line = WithoutEndSpaces(line.substr(0, line.find('\0')));
  Rule rule;
  if (line.starts_with('!')) {
    rule.negated = true;
    line.remove_prefix(1);
  }
  if (line.ends_with('/')) {
    rule.directory = true;
    line.remove_suffix(1);
  }
  if (line.empty()) return;
  rule.name = line.find('/') == line.npos;
  if (line.starts_with('/')) line.remove_prefix(1);
  // Git compares what is before the first special character by itself, so a "**" behind it stands
  // at a beginning.
  const std::size_t plain = PlainLength(line);
  if (!rule.name || plain == line.size()) {
    rule.literal = line.substr(0, plain);
    line.remove_prefix(plain);
  }
  Compile(line, Form::kGit, rule);
  Keep(std::move(rule));
}

void IgnoreFile::AddDocker(std::string_view line) {
  line = TrimSpace(line.substr(0, line.find('\0')));
  Rule rule;
  if (line.starts_with('!')) {
    rule.negated = true;
    line = TrimSpace(line.substr(1));
  }
  const std::string clean = CleanPattern(line);
  if (clean.empty()) return;
  const std::size_t plain = PlainLength(clean);
  rule.literal = clean.substr(0, plain);
  Compile(std::string_view(clean).substr(plain), Form::kDocker, rule);
  Keep(std::move(rule));
}

void IgnoreFile::Keep(Rule rule) {
  if (rule.literal.size() + rule.tokens.size() > kMaxIgnoreRuleBytes ||
      rules_.size() >= kMaxIgnoreRules) {
    ++left_out_;
    return;
  }
  takes_back_ = takes_back_ || rule.negated;
  // Most rules are such, and this takes far less time.
  const auto plain = [](const Token& token) { return token.kind == TokenKind::kByte; };
  const auto& tokens = rule.tokens;
  if (tokens.size() > 1 && tokens[0].kind == TokenKind::kStar &&
      std::all_of(tokens.begin() + 1, tokens.end(), plain)) {
    for (std::size_t i = 1; i < tokens.size(); ++i) {
      rule.suffix += static_cast<char>(tokens[i].byte);
    }
  }
  rules_.push_back(std::move(rule));
}

void IgnoreFile::Compile(std::string_view pattern, Form form, Rule& rule) {
  bool at_start = true;  // Or behind a slash.
  while (!pattern.empty() && rule.tokens.size() <= kMaxIgnoreRuleBytes) {
    const char first = pattern[0];
    if (first == '*') {
      CompileStars(pattern, at_start, form, rule);
      at_start = false;
      continue;
    }
    pattern.remove_prefix(1);
    if (first == '?') {
      rule.tokens.push_back({TokenKind::kOne});
    } else if (first == '[') {
      rule.tokens.push_back(CompileSet(pattern));
    } else if (first == '\\' && pattern.empty()) {
      rule.tokens.push_back({TokenKind::kNever});
    } else {
      char byte = first;
      if (first == '\\') {
        byte = pattern[0];
        pattern.remove_prefix(1);
      }
      rule.tokens.push_back({TokenKind::kByte, static_cast<std::uint8_t>(byte)});
      at_start = byte == '/';
      continue;
    }
    at_start = false;
  }
}

void IgnoreFile::CompileStars(std::string_view& pattern, bool at_start, Form form,
                              Rule& rule) const {
  if (form == Form::kDocker) {
    const bool two = pattern.starts_with("**");
    pattern.remove_prefix(two ? 2 : 1);
    if (!two) {
      rule.tokens.push_back({TokenKind::kStar});
      return;
    }
    if (pattern.starts_with('/')) pattern.remove_prefix(1);
    if (pattern.empty()) {
      rule.tokens.push_back({TokenKind::kAll});
    } else {
      rule.tokens.push_back({TokenKind::kMaybeDirs});
      rule.tokens.push_back({TokenKind::kDirs});
    }
    return;
  }
  std::size_t stars = 0;
  while (stars < pattern.size() && pattern[stars] == '*') ++stars;
  pattern.remove_prefix(stars);
  const bool at_end = pattern.empty() || pattern[0] == '/' || pattern.starts_with("\\/");
  if (stars == 1 || !at_start || !at_end) {
    rule.tokens.push_back({TokenKind::kStar});
  } else if (pattern.starts_with('/')) {
    pattern.remove_prefix(1);
    rule.tokens.push_back({TokenKind::kMaybeDirs});
    rule.tokens.push_back({TokenKind::kDirs});
  } else {
    rule.tokens.push_back({TokenKind::kAll});
  }
}

// `pattern` is behind a '['. A ']' that comes first is a member.
IgnoreFile::Token IgnoreFile::CompileSet(std::string_view& pattern) {
  Set set;
  const bool negated = pattern.starts_with('!') || pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  int before = -1;  // The member that a range may begin with.
  for (bool first = true; first || !pattern.starts_with(']'); first = false) {
    if (pattern.empty()) return {TokenKind::kNever};
    auto member = static_cast<unsigned char>(pattern[0]);
    if (pattern.starts_with("[:")) {
      const std::size_t end = pattern.find(']', 2);
      if (end == pattern.npos) return {TokenKind::kNever};
      if (end > 2 && pattern[end - 1] == ':') {
        const std::string_view name = pattern.substr(2, end - 3);
        bool known = false;
        for (unsigned c = 0; c < set.size(); ++c) {
          if (IsOfClass(name, static_cast<unsigned char>(c), known)) set.set(c);
        }
        if (!known) return {TokenKind::kNever};
        pattern.remove_prefix(end + 1);
        before = -1;
        continue;
      }
    }
    const bool range = member == '-' && before > 0 && pattern.size() > 1 && pattern[1] != ']';
    pattern.remove_prefix(1);
    if (range) {
      member = static_cast<unsigned char>(pattern[0]);
      pattern.remove_prefix(1);
    }
    if (member == '\\') {
      if (pattern.empty()) return {TokenKind::kNever};
      member = static_cast<unsigned char>(pattern[0]);
      pattern.remove_prefix(1);
    }
    for (int c = range ? before : member; c <= member; ++c) set.set(static_cast<std::size_t>(c));
    before = range ? -1 : member;
  }
  pattern.remove_prefix(1);
  if (negated) set.flip();
  set.reset('/');
  sets_.push_back(set);
  return {TokenKind::kSet, 0, static_cast<std::uint32_t>(sets_.size() - 1)};
}

bool IgnoreFile::Accepts(const Token& token, char byte) const {
  switch (token.kind) {
    case TokenKind::kByte:
      return static_cast<char>(token.byte) == byte;
    case TokenKind::kOne:
    case TokenKind::kStar:
      return byte != '/';
    case TokenKind::kSet:
      return sets_[token.set].test(static_cast<unsigned char>(byte));
    case TokenKind::kAll:
    case TokenKind::kDirs:
      return true;
    case TokenKind::kMaybeDirs:
    case TokenKind::kNever:
      break;
  }
  return false;
}

// All positions in the rule at once, so that no rule takes long.
bool IgnoreFile::Matches(const Rule& rule, std::string_view text, std::uint64_t& work) const {
  if (!text.starts_with(rule.literal)) return false;
  text.remove_prefix(rule.literal.size());
  if (!rule.suffix.empty()) {
    return text.ends_with(rule.suffix) &&
           text.substr(0, text.size() - rule.suffix.size()).find('/') == text.npos;
  }
  const std::vector<Token>& tokens = rule.tokens;
  if (tokens.empty()) return text.empty();
  std::vector<bool> now(tokens.size() + 1);
  std::vector<bool> next(tokens.size() + 1);
  now[0] = true;
  const auto skip = [&](std::vector<bool>& at) {
    bool any = at.back();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!at[i]) continue;
      any = true;
      const TokenKind kind = tokens[i].kind;
      if (kind == TokenKind::kStar || kind == TokenKind::kAll) at[i + 1] = true;
      if (kind == TokenKind::kMaybeDirs) at[i + 1] = at[i + 2] = true;
    }
    return any;
  };
  skip(now);
  for (const char byte : text) {
    work += tokens.size();
    next.assign(next.size(), false);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!now[i] || !Accepts(tokens[i], byte)) continue;
      const TokenKind kind = tokens[i].kind;
      const bool stays =
          kind == TokenKind::kStar || kind == TokenKind::kAll || kind == TokenKind::kDirs;
      next[stays ? i : i + 1] = true;
      if (kind == TokenKind::kDirs && byte == '/') next[i + 1] = true;
    }
    if (!skip(next)) return false;
    std::swap(now, next);
  }
  return now.back();
}

std::optional<bool> IgnoreFile::Find(std::string_view path, bool directory,
                                     std::uint64_t* work) const {
  const std::string_view name = NameOf(path);
  std::uint64_t none = 0;
  std::uint64_t& count = work != nullptr ? *work : none;
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    bool matches = false;
    ++count;
    if (form_ == Form::kGit) {
      matches = (directory || !rule->directory) && Matches(*rule, rule->name ? name : path, count);
    } else {
      matches = Matches(*rule, path, count);
      for (std::size_t at = path.find('/'); !matches && at != path.npos;
           at = path.find('/', at + 1)) {
        matches = Matches(*rule, path.substr(0, at), count);
      }
    }
    if (matches) return !rule->negated;
  }
  return std::nullopt;
}

void Ignores::AddGit(const std::string& directory, std::string_view text) {
  IgnoreFile file = IgnoreFile::Parse(text, IgnoreFile::Form::kGit);
  left_out_ += file.left_out();
  git_.insert_or_assign(directory, std::move(file));
}

void Ignores::SetGitExclude(std::string_view text) {
  git_exclude_ = IgnoreFile::Parse(text, IgnoreFile::Form::kGit);
  left_out_ += git_exclude_.left_out();
}

void Ignores::SetDocker(std::string_view text) {
  docker_ = IgnoreFile::Parse(text, IgnoreFile::Form::kDocker);
  left_out_ += docker_.left_out();
}

bool Ignores::GitIgnores(std::string_view path, bool directory) const {
  for (std::string_view above = path; !above.empty();) {
    const std::size_t slash = above.rfind('/');
    above = above.substr(0, slash == above.npos ? 0 : slash);
    ++work_;
    const auto file = git_.find(above);
    if (file == git_.end()) continue;
    const std::string_view below = above.empty() ? path : path.substr(above.size() + 1);
    if (const auto answer = file->second.Find(below, directory, &work_)) return *answer;
  }
  return git_exclude_.Find(path, directory, &work_).value_or(false);
}

Ignores::Answer Ignores::Ask(std::string_view path, bool directory) const {
  if (is_exhausted()) return Answer::kYes;
  if (IsNoContent(NameOf(path)) || paths_.contains(path) || GitIgnores(path, directory) ||
      exclude_.Match(path, directory ? Patterns::Kind::kDirectory : Patterns::Kind::kOther)) {
    return Answer::kYes;
  }
  if (!docker_.Find(path, directory, &work_).value_or(false)) return Answer::kNo;
  return docker_.takes_back() ? Answer::kItself : Answer::kYes;
}

}  // namespace pyro::archive
