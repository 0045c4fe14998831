// Propagation of errors. Not installed: macros stay out of the public headers.

#pragma once

#include <utility>

#include "pyro/result.h"

#define PYRO_CONCAT_INNER(a, b) a##b
#define PYRO_CONCAT(a, b) PYRO_CONCAT_INNER(a, b)

#define PYRO_RETURN_IF_ERROR(expression) \
  PYRO_RETURN_IF_ERROR_IMPL(PYRO_CONCAT(pyro_status_, __LINE__), expression)
#define PYRO_RETURN_IF_ERROR_IMPL(status, expression) \
  do {                                                \
    auto status = (expression);                       \
    if (!status) return std::move(status).error();    \
  } while (false)

// PYRO_ASSIGN_OR_RETURN(auto file, Open(path));
#define PYRO_ASSIGN_OR_RETURN(declaration, expression) \
  PYRO_ASSIGN_OR_RETURN_IMPL(PYRO_CONCAT(pyro_result_, __LINE__), declaration, expression)
#define PYRO_ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                       \
  if (!result) return std::move(result).error();                    \
  declaration = std::move(*result)
