// The first bytes of a connection, any: looking ends, and a longer beginning changes no answer.

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "net/first_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::net;
  if (size == 0) return 0;
  const Frame all(data + 1, size - 1);
  const Frame begin = all.first(all.size() * data[0] / 255);
  const FirstLook first = LookAtFirstBytes(begin);
  const FirstLook whole = LookAtFirstBytes(all);
  if (first.kind != FirstLook::Kind::kMore) {
    PYRO_CHECK(whole.kind == first.kind && whole.names == first.names);
  }
  PYRO_CHECK((whole.kind == FirstLook::Kind::kNames) == !whole.names.empty());
  return 0;
}
