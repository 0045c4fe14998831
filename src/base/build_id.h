// A digest of the sources of the agent and the wire.

#pragma once

#include <string_view>

namespace pyro {

// Hexadecimal digits that change with any source of base, sys, wire or agent. A supervisor and an
// agent of different builds refuse each other. Its definition is generated: library
// pyro_build_id.
std::string_view BuildId();

}  // namespace pyro
