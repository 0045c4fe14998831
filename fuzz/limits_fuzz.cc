// The file of a user's limits: any bytes are limits within their ranges or none, and what is
// written is read back.

#include <fcntl.h>

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "memory_directory.h"
#include "state/quota.h"
#include "sys/files.h"

using namespace pyro;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryDirectory directory;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  PYRO_CHECK(sys::MakeDirectories(directory.path() / "guests").ok());
  const auto file =
      sys::OpenFile(directory.path() / "guests/limits.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  PYRO_CHECK(file.ok() && sys::WriteAll(file->get(), text).ok());
  state::GuestLimits limits = state::ReadGuestLimits(directory.path());
  for (const std::int64_t limit : {limits.guests, limits.guest_memory_mib, limits.tasks,
                                   limits.free_disk_mib, limits.host_memory_mib}) {
    PYRO_CHECK(limit >= 0 && limit <= state::kMaxLimitMib);
  }
  PYRO_CHECK(limits.guests <= state::kMaxGuests && limits.tasks <= state::kMaxTasks);
  limits.guests = limits.guests == 0 ? 1 : limits.guests - 1;
  PYRO_CHECK(state::WriteGuestLimits(directory.path(), limits).ok());
  PYRO_CHECK(state::ReadGuestLimits(directory.path()) == limits);
  return 0;
}
