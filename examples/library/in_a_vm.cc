// in_a_vm ENVIRONMENT COMMAND…: runs a command in a VM of its own and exits with its exit code.
// Without arguments it lists the environments.
//
// By CMake: see CMakeLists.txt. By pkg-config:
//   c++ -std=c++20 in_a_vm.cc $(pkg-config --cflags --libs pyro) -o in_a_vm

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <pyro/engine.h>
#include <pyro/version.h>

namespace {

int Report(const pyro::Error& error) {
  std::fprintf(stderr, "%s\n%s\n", error.message.c_str(), error.hint.c_str());
  return EXIT_FAILURE;
}

int List(pyro::Engine& engine) {
  const auto environments = engine.ListEnvironments();
  if (!environments) return Report(environments.error());
  std::printf("pyro %s\n", pyro::kVersion);
  for (const pyro::EnvironmentInfo& info : *environments) {
    std::printf("%s: %s\n", info.name.c_str(), info.installed ? "installed" : "not installed");
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto prepared = pyro::Engine::PrepareProcess(); !prepared)
    return Report(prepared.error());
  const auto directories = pyro::Engine::DefaultDirectories();
  if (!directories) return Report(directories.error());
  const auto engine = pyro::MakeLocalEngine(*directories);
  if (argc < 3) return List(*engine);

  pyro::VmOptions options;
  options.environment = argv[1];
  pyro::Command command;
  command.argv.assign(argv + 2, argv + argc);
  const auto result = engine->RunInVm(options, command, 120);
  if (!result) return Report(result.error());
  std::fwrite(result->stdout_text.data(), 1, result->stdout_text.size(), stdout);
  std::fwrite(result->stderr_text.data(), 1, result->stderr_text.size(), stderr);
  return result->exit_code;
}
