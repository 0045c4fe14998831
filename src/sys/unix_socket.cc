#include "sys/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::sys {
namespace {

// "/proc/self/fd/N/name" for any directory, however deep.
struct ShortAddress {
  UniqueFd directory;
  sockaddr_un address{};
};

Result<ShortAddress> Shorten(const std::filesystem::path& path) {
  ShortAddress result;
  PYRO_ASSIGN_OR_RETURN(result.directory, OpenFile(path.parent_path(), O_PATH | O_DIRECTORY));
  const std::string text =
      fmt::format("/proc/self/fd/{}/{}", result.directory.get(), path.filename().native());
  if (text.size() >= sizeof result.address.sun_path) {
    return ErrnoError(ENAMETOOLONG, "socket", path.native());
  }
  result.address.sun_family = AF_UNIX;
  std::memcpy(result.address.sun_path, text.c_str(), text.size() + 1);
  return result;
}

const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

Result<UniqueFd> ListenUnix(const std::filesystem::path& path) {
  PYRO_ASSIGN_OR_RETURN(const ShortAddress shortened, Shorten(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError(errno, "socket");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return ErrnoError(errno, "remove", path.native());
  if (::bind(fd.get(), Generic(shortened.address), sizeof shortened.address) != 0) {
    return ErrnoError(errno, "bind", path.native());
  }
  if (::chmod(path.c_str(), 0600) != 0) return ErrnoError(errno, "chmod", path.native());
  if (::listen(fd.get(), 128) != 0) return ErrnoError(errno, "listen", path.native());
  return fd;
}

Result<UniqueFd> ConnectUnix(const std::filesystem::path& path) {
  PYRO_ASSIGN_OR_RETURN(const ShortAddress shortened, Shorten(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "socket");
  int result;
  do {
    result = ::connect(fd.get(), Generic(shortened.address), sizeof shortened.address);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return ErrnoError(errno, "connect", path.native());
  return fd;
}

bool PeerIsSameUser(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::geteuid();
}

}  // namespace pyro::sys
