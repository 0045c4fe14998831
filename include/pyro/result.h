// A value or an Error. Ignoring one is a compiler warning.

#pragma once

#include <utility>

#include <tl/expected.hpp>

#include "pyro/error.h"

namespace pyro {

// Used like tl::expected<T, Error>; only this file names tl, so that another implementation can
// replace it.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
  using Base = tl::expected<T, Error>;

 public:
  using Base::Base;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT: implicit on purpose
  bool ok() const { return this->has_value(); }
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
  using Base = tl::expected<void, Error>;

 public:
  using Base::Base;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT: implicit on purpose
  bool ok() const { return this->has_value(); }
};

using Status = Result<void>;

inline Status OkStatus() { return Status(); }

}  // namespace pyro
