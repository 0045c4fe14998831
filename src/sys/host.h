// Facts about this host and this user.

#pragma once

#include <filesystem>
#include <string>

#include "pyro/result.h"

namespace pyro::sys {

// The kernel's id of this boot; changes at every boot and only then.
Result<std::string> BootId();

// Such as "6.1.0-32-cloud-amd64".
std::string KernelRelease();

// Directory of the running program.
Result<std::filesystem::path> ProgramDirectory();

// $HOME. kNotFound when it is not an absolute path.
Result<std::filesystem::path> HomeDirectory();

// The value, or empty when unset.
std::string Environment(const char* name);

}  // namespace pyro::sys
