// pyro-net: carries one guest's frames out of its machine. Started by the supervisor, in a jail.

#include "net/gate.h"
#include "sys/process_state.h"

int main(int argc, char** argv) {
  pyro::sys::PrepareProgram();
  return pyro::net::GateMain(argc, argv);
}
