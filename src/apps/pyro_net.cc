// pyro-net: carries one guest's frames out of its machine. Started by the supervisor, in a jail.

#include "vmm/net/gate.h"

int main(int argc, char** argv) { return pyro::vmm::net::GateMain(argc, argv); }
