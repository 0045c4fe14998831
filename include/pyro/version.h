// The one definition of the version; programs, packages and the catalog read it.

#pragma once

#define PYRO_VERSION "2.1.0"

namespace pyro {

inline constexpr const char kVersion[] = PYRO_VERSION;

}  // namespace pyro
