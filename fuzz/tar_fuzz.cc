// A tar stream as the agent reads it: its entries, with the content of each.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "agent/tar_format.h"
#include "base/check.h"
#include "tar_checksums.h"

using namespace pyro;
using agent::TarEntry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input_bytes, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(input_bytes), size);
  SetChecksums(bytes);
  std::size_t at = 0;
  // In pieces of any length.
  agent::TarInput input([&](char* to, std::size_t most) -> Result<std::size_t> {
    const std::size_t n = std::min({most, size - at, std::size_t{1} + at % 700});
    std::memcpy(to, bytes.data() + at, n);
    at += n;
    return n;
  });
  std::size_t taken = 0;
  while (true) {
    const auto entry = input.Next();
    if (!entry) {
      PYRO_CHECK(entry.error().sys_errno != 0);
      return 0;
    }
    if (!*entry) {
      PYRO_CHECK(at == size);
      return 0;
    }
    const TarEntry& one = **entry;
    PYRO_CHECK(one.name.find('\0') == std::string::npos);
    PYRO_CHECK(one.target.find('\0') == std::string::npos);
    PYRO_CHECK(one.size >= 0 && one.uid >= 0 && one.gid >= 0 && one.mode >= 0 && one.mode <= 07777);
    PYRO_CHECK(one.nanoseconds >= 0 && one.nanoseconds < 1'000'000'000);
    if (one.type == TarEntry::Type::kFile) {
      PYRO_CHECK(input.left() == agent::TarContentBytes(one));
      if (one.data) {
        std::int64_t end = 0;
        for (const sys::FileRange& range : *one.data) {
          PYRO_CHECK(range.offset >= end && range.length > 0 &&
                     range.length <= one.size - range.offset);
          end = range.offset + range.length;
        }
      }
    }
    // What it says of an entry can be written and is read again the same.
    TarEntry plain = one;
    plain.size = 0;
    plain.data.reset();
    const std::string header = agent::TarHeader(plain) + agent::TarEnd();
    std::size_t from = 0;
    agent::TarInput again([&](char* to, std::size_t most) -> Result<std::size_t> {
      const std::size_t n = std::min(most, header.size() - from);
      std::memcpy(to, header.data() + from, n);
      from += n;
      return n;
    });
    const auto read = again.Next();
    PYRO_CHECK(read.ok() && read->has_value());
    PYRO_CHECK((*read)->name == one.name && (*read)->target == one.target);
    PYRO_CHECK((*read)->seconds == one.seconds && (*read)->uid == one.uid);
    while (input.left() > 0) {
      const auto piece = input.Content(input.left());
      if (!piece) return 0;
      PYRO_CHECK(!piece->empty());
      taken += piece->size();
      PYRO_CHECK(taken <= size);
    }
  }
}
