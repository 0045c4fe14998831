#include "sys/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace pyro::sys {

bool SetSeccompFilter(std::span<const char> filter, FilteredThreads threads) {
  const sock_fprog program = {
      .len = static_cast<unsigned short>(filter.size() / sizeof(sock_filter)),
      .filter = const_cast<sock_filter*>(  // NOLINT: the kernel only reads it
          reinterpret_cast<const sock_filter*>(filter.data()))};
  const unsigned flags = threads == FilteredThreads::kAll ? SECCOMP_FILTER_FLAG_TSYNC : 0;
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0;
}

}  // namespace pyro::sys
