// pyro: the command line.

#include "cli/cli.h"

int main(int argc, char** argv) { return pyro::cli::Main(argc, argv); }
