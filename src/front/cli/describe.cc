#include "front/cli/describe.h"

#include <unistd.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/operations.h"
#include "base/text.h"
#include "front/cli/help.h"
#include "front/cli/usage.h"

namespace pyro::cli {
namespace {

constexpr const char* kFiles = ":files\n";

Json DescribeOption(const CLI::Option& option) {
  Json names = Json::array();
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  const std::string fallback = option.get_default_str();
  return {{"names", names},
          {"value", TakesValue(option) ? Json(ValueName(option)) : Json()},
          {"default", fallback.empty() ? Json() : Json(fallback)},
          {"description", option.get_description()}};
}

class Completer {
 public:
  Completer(const CLI::App& app, const EngineFactory& make_engine)
      : command_(&app), topic_(&app), make_engine_(make_engine) {}

  std::string Complete(const std::vector<std::string>& words) {
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
      if (words[i] == "--") return kFiles;
      Pass(words[i]);
    }
    begun_ = words.empty() ? "" : words.back();
    if (pending_ != nullptr) return OfType(ValueName(*pending_));
    if (begun_.starts_with('-')) return OptionNames();
    if (!CommandsBelow(*command_).empty()) return CommandNames(*command_);
    const auto positionals = PositionalsOf(*command_);
    if (positionals.empty()) return "";
    if (ValueName(*positionals[0]) == "COMMAND") return CommandNames(*topic_);
    const CLI::Option& last = *positionals.back();
    if (position_ < positionals.size()) return OfType(ValueName(*positionals[position_]));
    return last.get_items_expected_max() > 1 ? OfType(ValueName(last)) : "";
  }

 private:
  // Records a complete word.
  void Pass(const std::string& word) {
    if (pending_ != nullptr) {
      pending_ = nullptr;
      return;
    }
    if (word.starts_with('-')) {
      const CLI::Option* option = command_->get_option_no_throw(word);
      if (option != nullptr && TakesValue(*option)) pending_ = option;
      return;
    }
    if (const CLI::App* below = FindBelow(*command_, word)) {
      command_ = below;
      position_ = 0;
      return;
    }
    if (const CLI::App* below = FindBelow(*topic_, word)) topic_ = below;
    ++position_;
  }

  void Offer(const std::string& word, std::string_view description) {
    if (word.starts_with(begun_)) offered_ += fmt::format("{}\t{}\n", word, description);
  }

  std::string CommandNames(const CLI::App& command) {
    for (const CLI::App* below : CommandsBelow(command)) {
      Offer(below->get_name(), below->get_description());
    }
    return std::move(offered_);
  }

  std::string OptionNames() {
    for (const CLI::Option* option : OptionsOf(*command_)) {
      for (const std::string& name : option->get_lnames()) {
        Offer("--" + name, option->get_description());
      }
    }
    return std::move(offered_);
  }

  std::string OfType(const std::string& type) {
    for (const char* files : {"PATH", "SOURCE", "DEST", "FILE"}) {
      if (type == files) return kFiles;
    }
    if (type.find('|') != std::string::npos) {
      for (const std::string_view word : Split(type, '|')) Offer(std::string(word), "");
      return std::move(offered_);
    }
    auto directories = Engine::DefaultDirectories();
    if (!directories) return "";
    const bool used = ::access(directories->state.c_str(), F_OK) == 0;
    const std::unique_ptr<Engine> engine = make_engine_(std::move(*directories));
    if (type == "ENVIRONMENT") {
      if (const auto environments = engine->ListEnvironments()) {
        for (const EnvironmentInfo& one : *environments) Offer(one.name, one.description);
      }
    }
    for (const std::string kind : {"task", "vm"}) {
      const bool fits = type == "ID" || type == (kind == "task" ? "TASK_ID" : "VM_ID");
      if (!fits || !used) continue;
      const auto list = api::Call(*engine, *api::FindOperation(kind + " list"), Json::object());
      if (!list) continue;
      const auto name_of = [](const Json& one) {
        return one.contains("name") && one["name"].is_string() ? one["name"].get<std::string>()
                                                               : "";
      };
      std::map<std::string, int> named;  // A name of several is refused.
      for (const Json& one : (*list)[kind + "s"]) ++named[name_of(one)];
      for (const Json& one : (*list)[kind + "s"]) {
        const std::string name = name_of(one);
        // A shell takes a word as it is offered: no name may be an option, or more than a word.
        const bool word = !name.empty() && name[0] != '-' && ShellJoin({name}) == name;
        if (word && named[name] == 1) Offer(name, one[kind + "_id"].get<std::string>());
        Offer(one[kind + "_id"], fmt::format("{}, {}", one["environment"].get<std::string>(),
                                             one["state"].get<std::string>()));
      }
    }
    return std::move(offered_);
  }

  const CLI::App* command_;
  const CLI::App* topic_;  // Of `pyro help`.
  const EngineFactory& make_engine_;
  const CLI::Option* pending_ = nullptr;  // Waits for its value.
  std::size_t position_ = 0;
  std::string begun_;
  std::string offered_;
};

}  // namespace

Json DescribeCommand(const CLI::App& command) {
  Json options = Json::array();
  Json arguments = Json::array();
  Json below = Json::array();
  for (const CLI::Option* option : OptionsOf(command)) options.push_back(DescribeOption(*option));
  for (const CLI::Option* option : PositionalsOf(command)) {
    arguments.push_back({{"name", ValueName(*option)},
                         {"required", option->get_required()},
                         {"description", option->get_description()}});
  }
  for (const CLI::App* one : CommandsBelow(command)) below.push_back(DescribeCommand(*one));
  return {{"name", command.get_name()},
          {"aliases", command.get_aliases()},
          {"description", command.get_description()},
          {"usage", Usage(command)},
          {"options", options},
          {"arguments", arguments},
          {"footer", command.get_footer()},
          {"commands", below}};
}

std::string Completions(const CLI::App& app, const std::vector<std::string>& words,
                        const EngineFactory& make_engine) {
  return Completer(app, make_engine).Complete(words);
}

}  // namespace pyro::cli
