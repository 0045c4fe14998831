// Why a program could not be started in the jail on this host.

#pragma once

#include <filesystem>

#include "wire/messages.h"

namespace pyro::engine {

// After a command of the jail has exited with 126 or 127: the number for CommandEnd::code, as a
// guest reports it, or 0 if directory and program are there. In that case the code is the program's
// own.
int WhyNotStarted(const std::filesystem::path& workspace, const wire::Exec& command);

}  // namespace pyro::engine
