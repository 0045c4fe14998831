// Values of the engine as Python sees them.

#pragma once

#include <pybind11/pybind11.h>

#include "base/json.h"
#include "pyro/error.h"

namespace pyro::python {

// What the output of commands in a result becomes.
enum class Output { kText, kBytes };

// Plain dicts, lists, str, int, float, bool and None, and with kBytes bytes. Bytes of text that are
// not UTF-8 become U+FFFD.
pybind11::object ToPython(const Json& value, Output output = Output::kText);

// The exception of pyro_mcp.errors that belongs to the code.
[[noreturn]] void Throw(const Error& error);

}  // namespace pyro::python
