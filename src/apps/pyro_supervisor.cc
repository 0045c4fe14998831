// pyro-supervisor: owns one guest. Started by pyro, never by hand.

#include "supervisor/main.h"

int main() { return pyro::supervisor::RunSupervisor(); }
