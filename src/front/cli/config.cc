// pyro config

#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "front/cli/commands.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"

namespace pyro::cli {
namespace {

const std::string& WhatCounts(const Setting& setting) {
  return setting.value.empty() ? setting.usual : setting.value;
}

// The value alone, for scripts.
void PrintValue(const Context&, const Setting& setting, bool) { Print(WhatCounts(setting) + "\n"); }

void PrintChange(const Context&, const Setting& setting, bool quiet) {
  if (quiet) return;
  Print(setting.value.empty()
            ? fmt::format("{} is not set; {} counts\n", setting.name, setting.usual)
            : fmt::format("{} = {}\n", setting.name, setting.value));
}

void PrintSettings(const Context&, const SettingList& list, bool) {
  std::string text = fmt::format("# {}\n", Printable(list.file, 400));
  for (const Setting& setting : list.settings) {
    text += fmt::format("{} = {}  # {}{}: {}\n", setting.name, WhatCounts(setting),
                        setting.value.empty() ? "not set. " : "", setting.sentence,
                        fmt::join(setting.values, ", "));
  }
  Print(text);
}

}  // namespace

void AddConfig(CLI::App& app, Context& context) {
  CLI::App* config = app.add_subcommand("config", "Show and change the user's settings");
  config->require_subcommand(1);
  config->footer(
      "The settings are lines in the file 'config' in ~/.config/pyro-mcp, or in\n"
      "PYRO_CONFIG_DIR. Options and variables go before them.\n\n"
      "Example:\n  pyro config set machine tcg");
  AddRowCommand(*config, context,
                {.operation = "config get", .texts = {.example = "pyro config get machine"}},
                PrintValue);
  AddRowCommand(*config, context,
                {.operation = "config set",
                 .texts = {.quiet = "Print nothing", .example = "pyro config set machine tcg"}},
                PrintChange);
  AddRowCommand(*config, context,
                {.operation = "config unset",
                 .texts = {.quiet = "Print nothing", .example = "pyro config unset machine"}},
                PrintChange);
  AddRowCommand(*config, context,
                {.operation = "config list", .texts = {.example = "pyro config list"}},
                PrintSettings);
}

}  // namespace pyro::cli
