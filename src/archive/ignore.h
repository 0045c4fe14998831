// Files of rules that say what is left alone, as git and docker read them.

#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "archive/patterns.h"

namespace pyro::archive {

// Of one file; what is beyond is left out and counted.
inline constexpr std::size_t kMaxIgnoreFileBytes = 1 << 20;
inline constexpr std::size_t kMaxIgnoreRules = 10'000;
inline constexpr std::size_t kMaxIgnoreRuleBytes = 1024;

// One such file. Its text may come from anywhere: any bytes are taken, and what means nothing
// matches nothing. Names are bytes, without needless slashes and dots.
class IgnoreFile {
 public:
  enum class Form {
    kGit,     // .gitignore: paths count from the file's directory on.
    kDocker,  // .dockerignore: a rule that matches a directory matches all that is below it.
  };
  static IgnoreFile Parse(std::string_view text, Form form);

  // What the last rule that matches says: true for ignored. nullopt: none matches.
  // What `work` leads to grows with the rules and bytes that are compared.
  std::optional<bool> Find(std::string_view path, bool directory,
                           std::uint64_t* work = nullptr) const;

  // A rule begins with '!'.
  bool takes_back() const { return takes_back_; }
  std::size_t left_out() const { return left_out_; }

 private:
  enum class TokenKind : std::uint8_t {
    kByte,
    kOne,        // Any byte but a slash.
    kSet,        // One of a set, but no slash.
    kStar,       // Any bytes but slashes.
    kAll,        // Any bytes.
    kMaybeDirs,  // What kDirs needs, or nothing; a kDirs is behind it.
    kDirs,       // Any bytes up to a slash.
    kNever,
  };
  struct Token {
    TokenKind kind;
    std::uint8_t byte = 0;
    std::uint32_t set = 0;  // In sets_.
  };
  struct Rule {
    std::string literal;        // The path, or the name, begins with it;
    std::vector<Token> tokens;  // and the rest of it matches these,
    std::string suffix;         // or, where that is set, a star and this.
    bool negated = false;
    bool directory = false;  // Of directories alone.
    bool name = false;       // Of an entry's name, at any depth.
  };
  using Set = std::bitset<256>;

  void AddGit(std::string_view line);
  void AddDocker(std::string_view line);
  void Compile(std::string_view pattern, Form form, Rule& rule);
  void CompileStars(std::string_view& pattern, bool at_start, Form form, Rule& rule) const;
  Token CompileSet(std::string_view& pattern);
  void Keep(Rule rule);
  bool Matches(const Rule& rule, std::string_view text, std::uint64_t& work) const;
  bool Accepts(const Token& token, char byte) const;

  Form form_ = Form::kGit;
  std::vector<Rule> rules_;
  std::vector<Set> sets_;
  bool takes_back_ = false;
  std::size_t left_out_ = 0;
};

// Comparisons of a rule's part with a byte, for all answers together: some ten seconds. A million
// files and the usual rules take a tenth of it.
inline constexpr std::uint64_t kMaxIgnoreWork = 4'000'000'000;

// All that counts for one tree. Belongs to one thread.
class Ignores {
 public:
  explicit Ignores(Patterns exclude = {}, std::uint64_t most_work = kMaxIgnoreWork)
      : exclude_(std::move(exclude)), most_work_(most_work) {}

  // `directory`: that holds the file, "" for the tree's top. A deeper file goes before those above.
  void AddGit(const std::string& directory, std::string_view text);
  // .git/info/exclude, which counts where no .gitignore says anything.
  void SetGitExclude(std::string_view text);
  void SetDocker(std::string_view text);
  // A path that is ignored, even if a rule takes it back.
  void AddPath(std::string path) { paths_.insert(std::move(path)); }

  enum class Answer {
    kNo,
    kYes,     // And all that is below a directory.
    kItself,  // A rule may take back what is below it.
  };
  // Of an entry of which no directory above is kYes. What is named .git or begins with
  // .pyro- is ignored anyway.
  Answer Ask(std::string_view path, bool directory) const;

  // Rules that are beyond the limits.
  std::size_t left_out() const { return left_out_; }
  // Answers took too long together: they are not good any more.
  bool is_exhausted() const { return work_ > most_work_; }

 private:
  bool GitIgnores(std::string_view path, bool directory) const;

  Patterns exclude_;
  std::map<std::string, IgnoreFile, std::less<>> git_;
  IgnoreFile git_exclude_;
  IgnoreFile docker_;
  std::set<std::string, std::less<>> paths_;
  std::size_t left_out_ = 0;
  std::uint64_t most_work_;
  mutable std::uint64_t work_ = 0;
};

}  // namespace pyro::archive
