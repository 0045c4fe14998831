// The report of a failed call: a code for programs, a sentence for people, a hint with a remedy.
//
// The end of a command in a guest is never an Error: see ExecResult in pyro/types.h.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pyro {

enum class ErrorCode {
#define PYRO_ERROR_CODE(constant, number, name) constant = number,
#include "pyro/error_codes.def"
#undef PYRO_ERROR_CODE
};

// The stable name used in JSON, such as "not_found".
std::string_view ErrorCodeName(ErrorCode code);

// nullopt for a number that is not in the table; such a number comes from a peer of another
// version.
std::optional<ErrorCode> ErrorCodeFromNumber(int number);

// A value; copyable, thread-compatible.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;    // One sentence without a full stop, lower-case first letter.
  std::string hint;       // A remedy, or empty.
  int sys_errno = 0;      // The errno behind it, or 0.
  std::string path = {};  // The path in a task that it is about, any bytes, or empty.
};

Error MakeError(ErrorCode code, std::string message, std::string hint = {});

}  // namespace pyro
