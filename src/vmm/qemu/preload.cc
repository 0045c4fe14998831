// Loaded into QEMU before its own libraries, for two files that it cannot open as it tries to. Only
// QEMU's own calls of open() reach this code. Safety does not depend on it: without it QEMU does
// not start.
//
// The memory of a frozen guest, named by PYRO_PRIVATE_MEMORY. QEMU always opens it for reading and
// writing, even for a private mapping. The file belongs to many guests, so no process may write to
// it: its mode and a read-only mount prevent that, and would make QEMU's open fail. This library
// turns that one open into one for reading, which is enough for a private mapping.
//
// /dev/kvm, which is not in QEMU's jail: its user may have no right to it. pyro has opened it, and
// PYRO_KVM is the number of the descriptor that QEMU gets a copy of.

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace {

int private_fd = -1;

int Open(const char* path, int flags, mode_t mode) {
  static const char* const kKvm = std::getenv("PYRO_KVM");
  if (kKvm != nullptr && path != nullptr && std::strcmp(path, "/dev/kvm") == 0) {
    return static_cast<int>(::syscall(SYS_fcntl, std::atoi(kKvm), F_DUPFD_CLOEXEC, 3));
  }
  static const char* const kPrivate = std::getenv("PYRO_PRIVATE_MEMORY");
  const bool is_private =
      kPrivate != nullptr && path != nullptr && std::strcmp(path, kPrivate) == 0;
  if (is_private) flags = O_RDONLY | O_CLOEXEC;
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  if (is_private) private_fd = fd;
  return fd;
}

int Allocate(int fd, int mode, off64_t offset, off64_t length) {
  if (fd == private_fd && fd >= 0) return 0;
  return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, length));
}

mode_t ModeFor(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

// NOLINTBEGIN(cert-dcl50-cpp): the C library's own functions.
__attribute__((visibility("default"))) int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeFor(flags, arguments);
  va_end(arguments);
  return Open(path, flags, mode);
}

__attribute__((visibility("default"))) int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeFor(flags, arguments);
  va_end(arguments);
  return Open(path, flags, mode);
}
// NOLINTEND(cert-dcl50-cpp)

// A build with checks for missing arguments calls this instead.
__attribute__((visibility("default"))) int __open64_2(const char* path, int flags) {
  return Open(path, flags, 0);
}

__attribute__((visibility("default"))) int __open_2(const char* path, int flags) {
  return Open(path, flags, 0);
}

// Memory that a guest gives back: QEMU would also remove it from the file, and does not drop its
// own copy if that fails.
__attribute__((visibility("default"))) int fallocate64(int fd, int mode, off64_t offset,
                                                       off64_t length) {
  return Allocate(fd, mode, offset, length);
}

__attribute__((visibility("default"))) int fallocate(int fd, int mode, off_t offset, off_t length) {
  return Allocate(fd, mode, offset, length);
}

}  // extern "C"
