#include "vmm/qemu/qmp_client.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/wait_for.h"

namespace pyro::vmm::qemu {
namespace {

constexpr std::size_t kMaxEvents = 256;
constexpr std::size_t kReadBytes = 64 * 1024;

Error Closed() {
  return MakeError(ErrorCode::kGuestUnavailable, "the machine's monitor has closed");
}

// kTimedOut unless `events` happen before the deadline.
Status Await(int fd, short events, Deadline deadline) {
  if (sys::WaitFor(fd, events, deadline) == sys::Waited::kReady) return OkStatus();
  return MakeError(ErrorCode::kTimedOut, "the machine's monitor did not answer in time");
}

std::string VersionIn(const Json& greeting) {
  const auto at = Json::json_pointer("/version/qemu");
  if (!greeting.contains(at)) return "";
  std::string version;
  for (const char* part : {"major", "minor", "micro"}) {
    const auto number = GetInt(greeting.at(at), part, 0, 1000);
    if (!number) return "";
    version += (version.empty() ? "" : ".") + fmt::format("{}", *number);
  }
  return version;
}

}  // namespace

QmpClient::QmpClient(sys::UniqueFd socket) : socket_(std::move(socket)) {}

void QmpClient::Keep(QmpMessage message) {
  if (events_.size() >= kMaxEvents) events_.pop_front();
  events_.push_back({.name = std::move(message.name), .data = std::move(message.value)});
}

Result<bool> QmpClient::ReadMore(Deadline deadline) {
  PYRO_RETURN_IF_ERROR(Await(socket_.get(), POLLIN, deadline));
  std::string bytes(kReadBytes, '\0');
  const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return true;
    if (errno == ECONNRESET) return false;
    return sys::ErrnoError(errno, "read from the machine's monitor");
  }
  parser_.Feed(std::string_view(bytes).substr(0, static_cast<std::size_t>(count)));
  return count > 0;
}

Result<QmpMessage> QmpClient::ReadMessage(Deadline deadline) {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(std::optional<QmpMessage> message, parser_.Next());
    if (message) return std::move(*message);
    PYRO_ASSIGN_OR_RETURN(const bool more, ReadMore(deadline));
    if (!more) return Closed();
  }
}

Status QmpClient::Handshake(Deadline deadline) {
  Result<QmpMessage> greeting = ReadMessage(deadline);
  if (greeting && greeting->kind != QmpMessage::Kind::kGreeting) {
    greeting = MakeError(ErrorCode::kProtocol, "the machine's monitor did not greet");
  }
  if (!greeting) {
    failed_ = true;
    return std::move(greeting).error();
  }
  version_ = VersionIn(greeting->value);
  PYRO_ASSIGN_OR_RETURN(Json ignored, Execute("qmp_capabilities", Json(), deadline));
  static_cast<void>(ignored);
  return OkStatus();
}

Result<Json> QmpClient::Execute(std::string_view command, const Json& arguments,
                                Deadline deadline) {
  return ExecuteWithDescriptor(command, arguments, -1, deadline);
}

Result<Json> QmpClient::ExecuteWithDescriptor(std::string_view command, const Json& arguments,
                                              int fd, Deadline deadline) {
  if (failed_) return Closed();
  failed_ = true;  // Until an answer says otherwise.
  const std::int64_t id = next_id_++;
  PYRO_RETURN_IF_ERROR(SendLine(FormatQmpCommand(command, arguments, id), fd, deadline));
  return AwaitAnswer(command, id, deadline);
}

Status QmpClient::SendLine(std::string_view line, int fd, Deadline deadline) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  while (!line.empty()) {
    PYRO_RETURN_IF_ERROR(Await(socket_.get(), POLLOUT, deadline));
    iovec part = {.iov_base = const_cast<char*>(line.data()), .iov_len = line.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof fd);
      std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      line.remove_prefix(static_cast<std::size_t>(count));
      fd = -1;  // It went with the first byte.
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return Closed();
    } else if (errno != EAGAIN && errno != EINTR) {
      return sys::ErrnoError(errno, "write to the machine's monitor");
    }
  }
  return OkStatus();
}

Result<Json> QmpClient::AwaitAnswer(std::string_view command, std::int64_t id, Deadline deadline) {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(QmpMessage message, ReadMessage(deadline));
    if (message.kind == QmpMessage::Kind::kEvent) {
      Keep(std::move(message));
      continue;
    }
    if (message.kind == QmpMessage::Kind::kGreeting || message.id != id) {
      return MakeError(ErrorCode::kProtocol,
                       "the machine's monitor answered something that was not asked");
    }
    failed_ = false;
    if (message.kind == QmpMessage::Kind::kReturn) return std::move(message.value);
    return MakeError(ErrorCode::kInternal,
                     fmt::format("qemu refused '{}': {}", command, Printable(message.text)));
  }
}

Result<QmpEvent> QmpClient::AwaitEvent(std::string_view name, Deadline deadline) {
  if (failed_) return Closed();
  while (true) {
    while (!events_.empty()) {
      QmpEvent event = std::move(events_.front());
      events_.pop_front();
      if (event.name == name) return event;
    }
    Result<QmpMessage> message = ReadMessage(deadline);
    if (message && message->kind != QmpMessage::Kind::kEvent) {
      message = MakeError(ErrorCode::kProtocol,
                          "the machine's monitor answered something that was not asked");
    }
    if (!message) {
      failed_ = true;
      return std::move(message).error();
    }
    Keep(std::move(*message));
  }
}

std::optional<QmpEvent> QmpClient::TakeEvent() {
  while (events_.empty()) {
    Result<std::optional<QmpMessage>> message = parser_.Next();
    if (!message) break;
    if (*message) {
      if ((*message)->kind == QmpMessage::Kind::kEvent) Keep(std::move(**message));
      continue;
    }
    if (!sys::IsReady(socket_.get())) break;
    Result<bool> more = ReadMore(Deadline::After(std::chrono::milliseconds(0)));
    if (!more || !*more) break;
  }
  if (events_.empty()) return std::nullopt;
  QmpEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace pyro::vmm::qemu
