#include "front/cli/usage.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/ids.h"
#include "base/nearest.h"
#include "base/text.h"
#include "front/cli/help.h"
#include "front/cli/other_words.h"
#include "front/cli/variables.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kMaxShownWord = 64;
constexpr std::size_t kMaxShownLine = 160;

using Strings = std::vector<std::string>;

std::string Quoted(std::string_view word) {
  return fmt::format("'{}'", Printable(word, kMaxShownWord));
}

// Without the values of variables, which may be secrets: also of those whose --env was forgotten.
Strings WithoutValues(Strings words) {
  bool value_follows = false;
  bool variable_before = false;
  for (std::string& word : words) {
    variable_before = variable_before && LooksLikeVariable(word);
    value_follows = value_follows || variable_before;
    const bool stuck = word.starts_with("--env=") || (word.starts_with("-e") && word != "-e");
    const std::size_t name = word.starts_with("--env=") ? word.find('=') + 1 : 0;
    const std::size_t equals = word.find('=', name);
    if ((stuck || value_follows) && equals != std::string::npos) {
      word.replace(equals + 1, std::string::npos, "...");
      variable_before = true;
    }
    value_follows = word == "--env" || word == "-e";
  }
  return words;
}

std::string LineOf(const Words& words) {
  Strings all = {"pyro"};
  const Strings own = WithoutValues(words.own);
  all.insert(all.end(), own.begin(), own.end());
  if (words.command) {
    all.emplace_back("--");
    all.insert(all.end(), words.command->begin(), words.command->end());
  }
  return Printable(ShellJoin(all), kMaxShownLine);
}

Words Replaced(Words words, std::size_t at, std::string by) {
  words.own[at] = std::move(by);
  return words;
}

Words Inserted(Words words, std::size_t at, std::string word) {
  words.own.insert(words.own.begin() + static_cast<std::ptrdiff_t>(at), std::move(word));
  return words;
}

Words Removed(Words words, std::size_t at) {
  words.own.erase(words.own.begin() + static_cast<std::ptrdiff_t>(at));
  return words;
}

// With "--" before the word at `at`.
Words CommandFrom(const Words& words, std::size_t at) {
  const auto begin = words.own.begin() + static_cast<std::ptrdiff_t>(at);
  Words changed;
  changed.own.assign(words.own.begin(), begin);
  changed.command = WithoutValues(Strings(begin, words.own.end()));
  return changed;
}

// The argument in an example.
std::string Sample(const CLI::Option& positional) {
  const std::string type = ValueName(positional);
  return type == "ENVIRONMENT" ? "debian:12" : type;
}

// Whether a word can be the argument. If the "--" is missing, a word of the command often stands in
// its place.
bool Fits(const CLI::Option& positional, std::string_view word) {
  const std::string type = ValueName(positional);
  if (type == "ENVIRONMENT") return word.find(':') != std::string_view::npos;
  if (type != "TASK_ID" && type != "VM_ID") return true;
  const std::string_view prefix =
      IdPrefix(type == "VM_ID" ? InstanceKind::kVm : InstanceKind::kTask);
  return IsIdPrefix(word, prefix) || IsIdPrefix(std::string(prefix) + std::string(word), prefix);
}

Error Mistake(std::string message, std::string hint) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message), std::move(hint));
}

class Reader {
 public:
  Reader(const CLI::App& app, const Words& words)
      : app_(app), command_(&app), words_(words), own_(words.own) {}

  Reading Read() {
    help_ = std::any_of(own_.begin(), own_.end(),
                        [](const std::string& word) { return word == "-h" || word == "--help"; });
    std::optional<Error> mistake;
    for (at_ = 0; at_ < own_.size() && !mistake; ++at_) {
      const std::string& word = own_[at_];
      mistake = word.size() > 1 && word[0] == '-' ? ReadOption() : ReadWord();
    }
    if (!mistake && !help_) mistake = ReadEnd();
    Reading reading = {command_, std::nullopt, places_, std::nullopt};
    const bool image_may = no_words_ && FullName(*command_) == "pyro run";
    (image_may ? reading.without_words : reading.mistake) = std::move(mistake);
    return reading;
  }

 private:
  using Found = std::optional<Error>;

  Found ReadOption() {
    if (help_) return std::nullopt;
    const std::string& word = own_[at_];
    return word[1] == '-' ? ReadLong(word) : ReadShort(word);
  }

  Found ReadLong(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const CLI::Option* option = command_->get_option_no_throw(name);
    if (option == nullptr || !option->nonpositional()) return UnknownOption(name);
    if (option == app_.get_version_ptr()) help_ = true;
    if (equals == std::string::npos) return TakesValue(*option) ? Value(*option, name) : Found();
    if (equals + 1 == word.size()) return Empty(name);
    if (!TakesValue(*option)) return NoValueTaken(name);
    return Once(*option, name);
  }

  // One letter or more; the last may take a value.
  Found ReadShort(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const std::string name = {'-', word[i]};
      const CLI::Option* option = command_->get_option_no_throw(name);
      if (option == nullptr) return UnknownOption(i == 1 ? word.substr(0, word.find('=')) : name);
      if (option == app_.get_version_ptr()) help_ = true;
      if (!TakesValue(*option)) continue;
      return i + 1 < word.size() ? Once(*option, name) : Value(*option, name);
    }
    return std::nullopt;
  }

  // The value in the next word.
  Found Value(const CLI::Option& option, const std::string& name) {
    const bool given = at_ + 1 < own_.size();
    const bool other = given && own_[at_ + 1].starts_with("--") &&
                       command_->get_option_no_throw(own_[at_ + 1]) != nullptr;
    if (!given || other) {
      return Mistake(fmt::format("{} has no value", name),
                     fmt::format("give one after it, as in: {} {}", name, ValueName(option)));
    }
    if (own_[at_ + 1].empty()) return Empty(name);
    ++at_;
    return Once(option, name);
  }

  Found Once(const CLI::Option& option, const std::string& name) {
    if (seen_.insert(&option).second || option.get_items_expected_max() > 1) return std::nullopt;
    return Mistake(fmt::format("{} is given twice", name), "give it once");
  }

  static Found NoValueTaken(const std::string& name) {
    return Mistake(fmt::format("{} takes no value", name),
                   fmt::format("write it alone, as in: {}", name));
  }

  static Found Empty(const std::string& name) {
    return Mistake(fmt::format("{} is empty", name),
                   "give a value; a variable that is not set gives an empty word");
  }

  Found ReadWord() {
    const std::string& word = own_[at_];
    if (!CommandsBelow(*command_).empty()) {
      const CLI::App* below = FindBelow(*command_, word);
      if (below == nullptr) return UnknownCommand(*command_, words_, at_);
      command_ = below;
      return std::nullopt;
    }
    if (help_) return std::nullopt;
    const auto positionals = PositionalsOf(*command_);
    const std::size_t taken = places_.size();
    const bool repeats = !positionals.empty() && positionals.back()->get_items_expected_max() > 1;
    if (taken >= positionals.size() && !repeats) {
      return AtForgottenEnv() ? ForgottenEnv() : OneTooMany();
    }
    const CLI::Option& positional = *positionals[std::min(taken, positionals.size() - 1)];
    if (word.empty()) return Empty(ValueName(positional));
    if (AtForgottenEnv()) return ForgottenEnv();
    places_.push_back(at_);
    return std::nullopt;
  }

  bool AtForgottenEnv() const {
    return LooksLikeVariable(own_[at_]) &&
           std::any_of(seen_.begin(), seen_.end(),
                       [](const CLI::Option* one) { return one->check_lname("env"); });
  }

  Found ForgottenEnv() const {
    return Mistake(fmt::format("the variable '{}' has no --env before it",
                               Printable(own_[at_].substr(0, own_[at_].find('=')), kMaxShownWord)),
                   "put --env before each, as in: --env NAME=VALUE --env NAME=VALUE");
  }

  // The first argument that cannot be one, if it may be the first word of the command instead.
  // Each word may be the name of a task; before an option of its own it is taken for a program.
  std::optional<std::size_t> Misplaced(bool before_option = false) const {
    if (!RunsWords(*command_) || words_.command) return std::nullopt;
    const auto positionals = PositionalsOf(*command_);
    for (std::size_t i = 0; i < std::min(places_.size(), positionals.size()); ++i) {
      const bool name = ValueName(*positionals[i]) == "TASK_ID" && !before_option;
      if (!name && !Fits(*positionals[i], own_[places_[i]])) return i;
    }
    return std::nullopt;
  }

  Found NotAnArgument(std::size_t index) const {
    const CLI::Option& positional = *PositionalsOf(*command_)[index];
    const std::size_t place = places_[index];
    Words line = CommandFrom(words_, place);
    line.own.push_back(Sample(positional));
    return Mistake(fmt::format("{} is not an {}", Quoted(own_[place]), Noun(positional)),
                   "write: " + LineOf(line));
  }

  static std::string_view Noun(const CLI::Option& positional) {
    const std::string type = ValueName(positional);
    return type == "TASK_ID" ? "id of a task" : type == "VM_ID" ? "id of a VM" : "environment";
  }

  Found OneTooMany() const {
    const std::string word = Quoted(own_[at_]);
    if (!RunsWords(*command_)) {
      return Mistake(fmt::format("{} is one word too many for '{}'", word, FullName(*command_)),
                     ForgottenOption());
    }
    if (words_.command) {
      return Mistake(fmt::format("{} is one word too many before --", word),
                     "the whole command stands after --: " + LineOf(Removed(words_, at_)));
    }
    if (const auto index = Misplaced()) return NotAnArgument(*index);
    return Mistake(fmt::format("the command {} must stand after --", word),
                   "write: " + LineOf(CommandFrom(words_, at_)));
  }

  // The word may be the value of --sequence or of a NAME, or have changed places with the id.
  std::string ForgottenOption() const {
    const std::string& word = own_[at_];
    const bool number = word.find_first_not_of("0123456789") == std::string::npos;
    for (const CLI::Option* option : OptionsOf(*command_)) {
      const bool takes = number ? option->check_lname("sequence") : ValueName(*option) == "NAME";
      if (!takes || seen_.contains(option)) continue;
      Words line = words_;
      const std::string_view id = IdPrefix(InstanceKind::kTask);
      const std::size_t first = places_.empty() ? at_ : places_[0];
      const bool swapped = word.starts_with(id) && !own_[first].starts_with(id);
      if (swapped) std::swap(line.own[at_], line.own[first]);
      return "write: " + LineOf(Inserted(std::move(line), at_, "--" + option->get_lnames()[0]));
    }
    return "leave it out: " + LineOf(Removed(words_, at_));
  }

  // `name`: the caller's word without "=VALUE".
  Found UnknownOption(const std::string& name) const {
    const std::string message =
        fmt::format("'{}' has no option {}", FullName(*command_), Quoted(name));
    if (const auto index = Misplaced(/*before_option=*/true)) return NotAnArgument(*index);
    if (Awaited() == "NAME") return Mistake(message, BehindDashes());
    const bool one_dash = !name.starts_with("--");
    const auto has = [this](std::string_view option) {
      return command_->get_option_no_throw(std::string(option)) != nullptr;
    };
    auto other = FindOtherOption(name, has);
    std::string known = name;
    if (!other && one_dash) {
      known = name.substr(0, 2);
      other = FindOtherOption(known, has);
    }
    if (other) {
      const std::string ours(other->ours);
      if (ours.empty() || !has(ours)) return Mistake(message, std::string(other->hint));
      return Mistake(message, Meant(ours, known));
    }
    if (const auto place = Elsewhere(name)) return Mistake(message, *place);
    Strings candidates;
    for (const CLI::Option* option : OptionsOf(*command_)) {
      const Strings& names = option->get_lnames();
      candidates.insert(candidates.end(), names.begin(), names.end());
    }
    const std::string bare = name.substr(std::min(name.find_first_not_of('-'), name.size()));
    if (const auto near = Nearest(bare, candidates))
      return Mistake(message, Meant("--" + *near, name));
    if (RunsWords(*command_) && !words_.command) {
      return Mistake(message, fmt::format("options of the command stand after --, as in: {} -- "
                                          "COMMAND {}",
                                          Usable(), Printable(name, kMaxShownWord)));
    }
    if (Awaited() == "PATH" || Awaited() == "DEST") return Mistake(message, BehindDashes());
    return Mistake(message, fmt::format("see '{} --help'", FullName(*command_)));
  }

  // The next argument's name, if one may follow.
  std::string Awaited() const {
    const auto positionals = PositionalsOf(*command_);
    if (RunsWords(*command_) || words_.command || places_.size() >= positionals.size()) return "";
    return ValueName(*positionals[places_.size()]);
  }

  // How to give the word as that argument.
  std::string BehindDashes() const {
    Words line = Removed(words_, at_);
    line.command = Strings{own_[at_]};
    return fmt::format("to give it as {}, write: {}", Awaited(), LineOf(line));
  }

  // The line up to the mistake.
  std::string Usable() const {
    Words line;
    line.own.assign(own_.begin(), own_.begin() + static_cast<std::ptrdiff_t>(at_));
    return LineOf(line);
  }

  // The line with the option that the caller probably meant.
  std::string Meant(const std::string& ours, const std::string& given) const {
    std::string rest = own_[at_].substr(given.size());
    // As in -m2g.
    const bool stuck = !rest.empty() && rest[0] != '=';
    const std::string fixed = ours + (stuck ? "=" : "") + rest;
    return fmt::format("did you mean '{}'? {}", ours, LineOf(Replaced(words_, at_, fixed)));
  }

  // The option belongs to a command that comes later in the line.
  std::optional<std::string> Elsewhere(const std::string& name) const {
    const CLI::App* command = command_;
    for (std::size_t i = at_ + 1; i < own_.size(); ++i) {
      const CLI::App* below = FindBelow(*command, own_[i]);
      if (below == nullptr) continue;
      command = below;
      const CLI::Option* option = below->get_option_no_throw(name);
      if (option == nullptr || !option->nonpositional() || TakesValue(*option)) continue;
      Words line = Inserted(words_, i + 1, own_[at_]);
      return "put it after the command: " + LineOf(Removed(std::move(line), at_));
    }
    return std::nullopt;
  }

  Found ReadEnd() {
    const auto below = CommandsBelow(*command_);
    if (!below.empty() && command_->get_require_subcommand_min() > 0) {
      if (command_ == &app_) return NoCommand(below);
      Strings names;
      for (const CLI::App* one : below) names.push_back(one->get_name());
      return Mistake(fmt::format("the command '{}' is not complete", FullName(*command_)),
                     fmt::format("give one of {}", fmt::join(names, ", ")));
    }
    const auto positionals = PositionalsOf(*command_);
    Words line = words_;
    std::string missing;
    std::size_t given = places_.size();
    if (!RunsWords(*command_) && words_.command && !positionals.empty()) {
      const bool repeats = positionals.back()->get_items_expected_max() > 1;
      for (const std::string& word : *words_.command) {
        if (given >= positionals.size() && !repeats) return OneTooManyBehindDashes(given);
        const CLI::Option& positional = *positionals[std::min(given++, positionals.size() - 1)];
        if (word.empty()) return Empty(ValueName(positional));
      }
    }
    for (std::size_t i = given; i < positionals.size(); ++i) {
      if (!positionals[i]->get_required()) continue;
      if (missing.empty()) missing = ValueName(*positionals[i]);
      line.own.push_back(Sample(*positionals[i]));
    }
    for (const CLI::Option* option : OptionsOf(*command_)) {
      if (!option->get_required() || seen_.contains(option)) continue;
      line.own.push_back("--" + option->get_lnames()[0]);
      if (missing.empty()) missing = line.own.back();
      line.own.push_back(ValueName(*option));
    }
    const bool useless = words_.command && (positionals.empty() || words_.command->empty());
    if (!RunsWords(*command_) && useless) return NoUseForWords();
    if (!missing.empty()) return Mistake(missing + " is missing", "write: " + LineOf(line));
    if (!RunsWords(*command_) || (words_.command && !words_.command->empty())) return std::nullopt;
    no_words_ = true;
    if (const auto index = Misplaced()) return NotAnArgument(*index);
    line.command = Strings{"git", "--version"};
    return Mistake("there is no command to run", "put it after --, as in: " + LineOf(line));
  }

  Found NoCommand(const std::vector<const CLI::App*>& below) const {
    Strings names;
    for (const CLI::App* one : below) names.push_back(one->get_name());
    return Mistake("there is no command", fmt::format("give one of {}", fmt::join(names, ", ")));
  }

  // `taken`: the number of arguments before it.
  Found OneTooManyBehindDashes(std::size_t taken) const {
    Words line = words_;
    const auto word = line.command->begin() + static_cast<std::ptrdiff_t>(taken - places_.size());
    const std::string shown = Quoted(*word);
    line.command->erase(word);
    if (line.command->empty()) line.command.reset();
    return Mistake(fmt::format("{} is one word too many for '{}'", shown, FullName(*command_)),
                   "leave it out: " + LineOf(line));
  }

  Found NoUseForWords() const {
    return Mistake(fmt::format("'{}' runs no command, so it takes no --", FullName(*command_)),
                   "leave it out: " + LineOf({own_, std::nullopt}));
  }

  const CLI::App& app_;
  const CLI::App* command_;
  const Words& words_;
  const Strings& own_;
  std::size_t at_ = 0;
  bool no_words_ = false;  // The only mistake: there is no command after "--".
  bool help_ = false;      // Help or the version is wanted, so that nothing can be missing.
  std::vector<std::size_t> places_;  // Of the arguments.
  std::set<const CLI::Option*> seen_;
};

}  // namespace

Reading ReadWords(const CLI::App& app, const Words& words) { return Reader(app, words).Read(); }

const CLI::App* FindBelow(const CLI::App& command, std::string_view name) {
  for (const CLI::App* below : CommandsBelow(command)) {
    const Strings& aliases = below->get_aliases();
    if (below->get_name() == name ||
        std::find(aliases.begin(), aliases.end(), name) != aliases.end()) {
      return below;
    }
  }
  return nullptr;
}

Error UnknownCommand(const CLI::App& command, const Words& line, std::size_t at) {
  const std::string& word = line.own[at];
  const bool top = command.get_parent() == nullptr;
  const std::string group = top ? "" : command.get_name();
  const std::string message =
      word.empty() ? "the name of the command is empty"
                   : fmt::format("'{}' has no command {}", FullName(command), Quoted(word));
  const std::string all = fmt::format("'{} --help' shows all commands", FullName(command));
  if (word.empty()) return Mistake(message, all);
  if (const std::string_view ours = FindOtherCommand(group, word); !ours.empty()) {
    return Mistake(message, fmt::format("'pyro {}' does that", ours));
  }
  Strings names;
  Strings verbs;
  for (const CLI::App* below : CommandsBelow(command)) {
    names.push_back(below->get_name());
    if (top && FindBelow(*below, word) != nullptr) {
      verbs.push_back(fmt::format("'pyro {} {}'", below->get_name(), Printable(word)));
    }
  }
  if (!verbs.empty()) {
    return Mistake(message, fmt::format("did you mean {}?", fmt::join(verbs, " or ")));
  }
  if (const auto near = Nearest(word, names)) {
    return Mistake(message,
                   fmt::format("did you mean '{}'? {}", *near, LineOf(Replaced(line, at, *near))));
  }
  return Mistake(message, all);
}

std::string FullName(const CLI::App& command) {
  std::string name;
  for (const CLI::App* app = &command; app != nullptr; app = app->get_parent()) {
    name = app->get_name() + (name.empty() ? "" : " ") + name;
  }
  return name;
}

bool RunsWords(const CLI::App& command) {
  const std::string name = FullName(command);
  return name == "pyro run" || name == "pyro task exec" || name == "pyro vm exec";
}

}  // namespace pyro::cli
