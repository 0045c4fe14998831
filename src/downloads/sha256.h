// SHA-256 of content that comes in pieces, as 64 lower-case hexadecimal digits.

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro::downloads {

inline constexpr std::size_t kSha256HexBytes = 64;

// One thread at a time.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void Add(std::string_view bytes);
  // Ends it: nothing may be added any more.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Of(std::string_view bytes);

// From the file's start to its end; its offset stays. `name` is for the error.
Result<std::string> Sha256OfDescriptor(int fd, std::string_view name);

bool IsSha256(std::string_view text);

}  // namespace pyro::downloads
