// The one translation of errno into an Error.

#pragma once

#include <string_view>

#include "pyro/error.h"

namespace pyro::sys {

// "open '/x': permission denied"; the code follows from `number` (ENOENT: kNotFound, ENOSPC and
// EDQUOT: kNoSpace, EACCES and EPERM: kPermissionDenied, EAGAIN, ENOMEM and EMFILE: kUnavailable,
// the rest kInternal).
Error ErrnoError(int number, std::string_view operation, std::string_view subject = {});

}  // namespace pyro::sys
