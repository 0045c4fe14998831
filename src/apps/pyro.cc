// pyro: the command line.

#include <memory>
#include <utility>

#include "cli/cli.h"
#include "sys/process_state.h"

int main(int argc, char** argv) {
  pyro::sys::PrepareProgram();
  return pyro::cli::Main(argc, argv, [](pyro::Engine::Directories directories) {
    return std::make_unique<pyro::Engine>(std::move(directories));
  });
}
