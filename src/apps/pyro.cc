// pyro: the command line.

#include "front/cli/cli.h"
#include "sys/process_state.h"

int main(int argc, char** argv) {
  pyro::sys::PrepareProgram();
  return pyro::cli::Main(argc, argv, pyro::MakeLocalEngine, pyro::SystemClock());
}
