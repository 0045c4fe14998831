#include "mcp/stdio/stdio_server.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "base/try.h"
#include "mcp/server/core.h"
#include "mcp/stdio/line_reader.h"
#include "mcp/stdio/line_writer.h"
#include "sys/errno_error.h"
#include "sys/wait_for.h"

namespace pyro::mcp {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
// Beyond this, reports are dropped.
constexpr std::size_t kStdioSoftLimit = 4 * 1024 * 1024;
// Beyond this, a client that does not read is not read either.
constexpr std::size_t kStdioHardLimit = 32 * 1024 * 1024;
constexpr std::chrono::milliseconds kRoomPoll{200};

class StdioSink final : public Sink {
 public:
  explicit StdioSink(std::shared_ptr<LineWriter> writer) : writer_(std::move(writer)) {}

  void Send(const Json& message, Kind kind) override { writer_->Write(ToJsonLine(message), kind); }
  void Finish(const Json& response, int /*http_status*/) override {
    writer_->Write(ToJsonLine(response), Kind::kMessage);
  }
  void Drop() override {}

 private:
  const std::shared_ptr<LineWriter> writer_;
};

// The one client of this process.
class StdioConnection {
 public:
  StdioConnection(Core& core, StdioOptions options)
      : core_(core),
        options_(std::move(options)),
        writer_(std::make_shared<LineWriter>(std::move(options_.out), kStdioSoftLimit)),
        sink_(std::make_shared<StdioSink>(writer_)),
        peer_(std::make_shared<Peer>(options_.principal,
                                     [writer = writer_](const Json& message) {
                                       writer->Write(ToJsonLine(message), Sink::Kind::kMessage);
                                     })),
        reader_(options_.max_line) {
    core_.AddPeer(peer_);
  }

  Status Serve() {
    CancelReason end = CancelReason::kPeerGone;
    const Status read = ReadToEnd(end);
    core_.RemovePeer(peer_, end);
    const Deadline deadline = Deadline::After(options_.drain);
    const bool idle = core_.WaitIdle(options_.drain);
    writer_->Close(deadline);
    if (!read) return read;
    if (!idle) return MakeError(ErrorCode::kTimedOut, "calls did not end when they were cancelled");
    return OkStatus();
  }

 private:
  Status ReadToEnd(CancelReason& end) {
    std::string buffer(kReadBytes, '\0');
    while (!writer_->failed()) {
      if (sys::WaitFor(options_.in.get(), POLLIN, Deadline::Never(), options_.stop_fd) ==
          sys::Waited::kCancelled) {
        end = CancelReason::kShutdown;
        return OkStatus();
      }
      const ssize_t n = ::read(options_.in.get(), buffer.data(), buffer.size());
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n < 0) return sys::ErrnoError(errno, "read stdin");
      if (n == 0) {
        if (auto line = reader_.Rest()) Take(*std::move(line));
        return OkStatus();
      }
      reader_.Feed(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
      while (auto line = reader_.Next()) {
        Take(*std::move(line));
        if (!MakeRoom()) return OkStatus();
      }
    }
    return OkStatus();
  }

  // Otherwise a client that sends and never reads would fill the memory. false: it is gone.
  bool MakeRoom() {
    while (!writer_->WaitForRoom(kStdioHardLimit, Deadline::After(kRoomPoll))) {
      pollfd polls[] = {{.fd = options_.in.get(), .events = 0, .revents = 0},
                        {.fd = options_.stop_fd, .events = POLLIN, .revents = 0}};
      ::poll(polls, 2, 0);
      if (writer_->failed() || (polls[0].revents & POLLHUP) != 0 || polls[1].revents != 0) {
        return false;
      }
    }
    return true;
  }

  void Take(LineReader::Line line) {
    if (line.too_long) {
      Refuse(nullptr, {.code = kParseError, .message = "the message is too long"});
      return;
    }
    if (line.text.empty()) return;
    auto value = ParseJson(line.text, options_.max_line);
    if (!value) {
      Refuse(nullptr, {.code = kParseError, .message = value.error().message});
      return;
    }
    Message message = ParseMessage(*std::move(value));
    if (auto* request = std::get_if<Request>(&message)) {
      TakeRequest(std::move(*request));
    } else if (const auto* notification = std::get_if<Notification>(&message)) {
      core_.Handle(*notification, peer_);
    } else if (const auto* response = std::get_if<Response>(&message)) {
      peer_->Resolve(*response);
    } else {
      const auto& bad = std::get<BadMessage>(message);
      Refuse(bad.id, bad.error);
    }
  }

  void TakeRequest(Request request) {
    if (!BelongsToModern(request)) {
      core_.Handle(std::move(request), peer_->Scope(peer_), sink_);
      return;
    }
    auto envelope = ReadEnvelope(request.params);
    if (const auto* error = std::get_if<RpcError>(&envelope)) {
      Refuse(request.id, *error);
      return;
    }
    auto& scope = std::get<RequestScope>(envelope);
    scope.principal = options_.principal;
    scope.peer = peer_;
    core_.Handle(std::move(request), std::move(scope), sink_);
  }

  void Refuse(const Json& id, const RpcError& error) {
    sink_->Finish(MakeErrorResponse(id, error), 200);
  }

  Core& core_;
  StdioOptions options_;
  const std::shared_ptr<LineWriter> writer_;
  const std::shared_ptr<StdioSink> sink_;
  const std::shared_ptr<Peer> peer_;
  LineReader reader_;
};

}  // namespace

Result<StdioOptions> TakeStdio() {
  // If 0, 1 or 2 is closed, one of our own files would get that number.
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR | O_CLOEXEC) != fd) {
      return sys::ErrnoError(errno, "open", "/dev/null");
    }
  }
  StdioOptions options;
  options.in = sys::UniqueFd(::fcntl(0, F_DUPFD_CLOEXEC, 3));
  options.out = sys::UniqueFd(::fcntl(1, F_DUPFD_CLOEXEC, 3));
  const sys::UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!options.in.valid() || !options.out.valid() || !null.valid() || ::dup2(null.get(), 0) < 0 ||
      ::dup2(2, 1) < 0) {
    return sys::ErrnoError(errno, "duplicate stdin and stdout");
  }
  return options;
}

Status ServeStdio(Server& server, StdioOptions options) {
  if (!options.in.valid() || !options.out.valid()) {
    return MakeError(ErrorCode::kInternal, "stdin or stdout is not open");
  }
  return StdioConnection(server.core(), std::move(options)).Serve();
}

}  // namespace pyro::mcp
