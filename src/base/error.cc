#include "pyro/error.h"

#include <utility>

namespace pyro {

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
#define PYRO_ERROR_CODE(constant, number, name) \
  case ErrorCode::constant:                     \
    return name;
#include "pyro/error_codes.def"
#undef PYRO_ERROR_CODE
  }
  return "internal";
}

std::optional<ErrorCode> ErrorCodeFromNumber(int number) {
  switch (number) {
#define PYRO_ERROR_CODE(constant, value, name) \
  case value:                                  \
    return ErrorCode::constant;
#include "pyro/error_codes.def"
#undef PYRO_ERROR_CODE
    default:
      return std::nullopt;
  }
}

Error MakeError(ErrorCode code, std::string message, std::string hint) {
  return Error{code, std::move(message), std::move(hint), 0};
}

}  // namespace pyro
