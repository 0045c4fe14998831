#include "front/cli/help.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "front/cli/usage.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kLeft = 28;  // Where descriptions begin.
constexpr char kGlue = '\x01';     // A space that no line ends at.

// The two columns of a line, the right one wrapped.
std::string Row(const std::string& left, std::string_view right) {
  std::string out = "  " + left;
  std::size_t at = out.size();
  if (at + 2 > kLeft) {
    out += "\n";
    at = 0;
  }
  out.append(kLeft - at, ' ');
  at = kLeft;
  bool first = true;
  for (const std::string_view word : Split(right, ' ')) {
    if (!first && at + 1 + word.size() > kColumns) {
      out += "\n" + std::string(kLeft, ' ');
      at = kLeft;
    } else if (!first) {
      out += ' ';
      ++at;
    }
    for (const char c : word) out += c == kGlue ? ' ' : c;
    at += word.size();
    first = false;
  }
  return out + "\n";
}

std::string OptionNames(const CLI::Option& option) {
  std::string names;
  for (const std::string& name : option.get_snames()) names += "-" + name + ", ";
  // Long names of options without a short one stand under the others.
  if (names.empty()) names = "    ";
  for (const std::string& name : option.get_lnames()) names += "--" + name + " ";
  return names + ValueName(option);
}

class Formatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    std::string out = app->get_description() + "\n\nUsage: " + Usage(*app) + "\n";
    const auto positionals = PositionalsOf(*app);
    if (!positionals.empty()) out += "\nArguments:\n";
    for (const CLI::Option* option : positionals) {
      out += Row(ValueName(*option), option->get_description());
    }
    const auto below = CommandsBelow(*app);
    if (!below.empty()) out += "\nCommands:\n";
    for (const CLI::App* command : below) {
      std::string names = command->get_name();
      for (const std::string& alias : command->get_aliases()) names += ", " + alias;
      out += Row(names, command->get_description());
    }
    out += "\nOptions:\n";
    for (const CLI::Option* option : OptionsOf(*app)) {
      std::string text = option->get_description();
      if (!option->get_default_str().empty() && !ValueName(*option).empty()) {
        text += fmt::format(" (default{}{})", kGlue, option->get_default_str());
      }
      out += Row(OptionNames(*option), text);
    }
    const std::string footer = app->get_footer();
    return footer.empty() ? out : out + "\n" + footer + "\n";
  }
};

}  // namespace

std::string HelpOf(const CLI::App& command) {
  return Formatter().make_help(&command, "", CLI::AppFormatMode::Normal);
}

std::shared_ptr<CLI::FormatterBase> HelpFormatter() { return std::make_shared<Formatter>(); }

std::vector<const CLI::Option*> OptionsOf(const CLI::App& command) {
  return command.get_options([](const CLI::Option* option) { return option->nonpositional(); });
}

std::vector<const CLI::Option*> PositionalsOf(const CLI::App& command) {
  return command.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

std::vector<const CLI::App*> CommandsBelow(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::string ValueName(const CLI::Option& option) {
  if (!TakesValue(option)) return "";
  const std::string type = option.get_type_name();
  // A colon, unless it is part of the name as in [ADDRESS:]PORT, and the values of a check.
  const std::size_t bracket = type.find(']');
  const std::size_t end =
      type.find(':', type.starts_with('[') && bracket < type.size() ? bracket : 0);
  const std::string name = type.substr(0, end);
  return name == "INT" || name == "UINT" || name == "FLOAT" ? "N" : name;
}

std::string Usage(const CLI::App& command) {
  std::string usage = FullName(command) + " [OPTIONS]";
  for (const CLI::Option* option : PositionalsOf(command)) {
    const std::string name = ValueName(*option);
    usage += option->get_required() ? " " + name : fmt::format(" [{}]", name);
    if (option->get_items_expected_max() > 1) usage += "…";
  }
  if (!CommandsBelow(command).empty()) {
    usage += command.get_require_subcommand_min() == 0 ? " [COMMAND]" : " COMMAND";
  }
  if (RunsWords(command)) usage += " -- COMMAND…";
  return usage;
}

}  // namespace pyro::cli
