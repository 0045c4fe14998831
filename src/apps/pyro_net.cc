// pyro-net: carries one guest's frames out of its machine. Started by the supervisor, in a jail.

#include "sys/process_state.h"
#include "vmm/net/gate.h"

int main(int argc, char** argv) {
  pyro::sys::PrepareProgram();
  return pyro::vmm::net::GateMain(argc, argv);
}
