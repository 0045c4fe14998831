// pyro: the command line.

#include <memory>
#include <utility>

#include "cli/cli.h"

int main(int argc, char** argv) {
  return pyro::cli::Main(argc, argv, [](pyro::Engine::Directories directories) {
    return std::make_unique<pyro::Engine>(std::move(directories));
  });
}
