#include "cli/parser.h"

#include <fmt/format.h>

#include "cli/values.h"

namespace pyro::cli {

void AddEnvironment(CLI::App* command, VmOptions& options) {
  command
      ->add_option("environment", options.environment,
                   "The guest's disk, such as debian:12; see 'pyro env list'")
      ->required()
      ->type_name("ENVIRONMENT");
}

void AddId(CLI::App* command, std::string& id, std::string_view noun, std::string_view prefix,
           const char* value) {
  command
      ->add_option(
          fmt::format("{}id", prefix), id,
          fmt::format("The {}'s id, or its first 6 characters; '{}' may be left out", noun, prefix))
      ->required()
      ->type_name(value);
}

void AddVmOptions(CLI::App* command, VmOptions& options) {
  AddNumber(command, "--vcpu-count", options.vcpu_count, {}, "Give N CPUs, 1 to 64")
      ->capture_default_str();
  AddMib(command, "--mem-mib", options.mem_mib, "Give N MiB of memory, from 128; units M, G, T")
      ->capture_default_str();
  command->add_flag("--network", options.network,
                    "Let the guest reach the outside; without it there is no network");
}

void AddHostCompat(CLI::App* command, VmOptions& options) {
  command->add_flag("--allow-host-compat", options.allow_host_compat,
                    "If no guest can start, run on this host in a bubblewrap jail");
}

}  // namespace pyro::cli
