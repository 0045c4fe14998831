// pyro-proxy: carries one guest's connections to the hosts that it serves. Started by the
// supervisor, in a jail.

#include "proxy/server.h"
#include "sys/process_state.h"

int main(int argc, char**) {
  pyro::sys::PrepareProgram();
  return pyro::proxy::ProxyMain(argc);
}
