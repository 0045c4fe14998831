// The file of a pool of spares: any bytes are a pool or an error, and what is written is read back.

#include <fcntl.h>

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "memory_directory.h"
#include "state/pool/spare_pool.h"
#include "sys/files.h"

using namespace pyro;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryDirectory directory;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto file =
      sys::OpenFile(directory.path() / "pool.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  PYRO_CHECK(file.ok() && sys::WriteAll(file->get(), text).ok());
  const auto pool = state::ReadSparePool(directory.path());
  if (!pool) {
    PYRO_CHECK(!pool.error().message.empty());
    return 0;
  }
  PYRO_CHECK(pool->count >= 0 && pool->count <= kMaxSpares && pool->ttl.count() >= 1);
  PYRO_CHECK(state::WriteSparePool(*pool).ok());
  const auto again = state::ReadSparePool(directory.path());
  PYRO_CHECK(again.ok() && again->environment == pool->environment && again->count == pool->count);
  return 0;
}
