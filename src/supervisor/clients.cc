#include "supervisor/clients.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/check.h"
#include "base/try.h"
#include "sys/unix_socket.h"

namespace pyro::supervisor {

namespace asio = boost::asio;

Status Clients::Listen(const std::filesystem::path& socket) {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd listening, sys::ListenUnix(socket));
  boost::system::error_code error;
  acceptor_.assign(asio::local::stream_protocol(), listening.get(), error);
  PYRO_CHECK(!error);
  (void)listening.Release();
  Accept();
  return OkStatus();
}

void Clients::Accept() {
  acceptor_.async_accept(
      [this](boost::system::error_code error, asio::local::stream_protocol::socket socket) {
        if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
        if (!error && sys::PeerIsSameUser(socket.native_handle())) {
          boost::system::error_code released;
          auto stream = FrameStream::Create(loop_, sys::UniqueFd(socket.release(released)));
          if (stream) {
            const ClientId id = next_client_++;
            auto session = std::make_unique<Session>(id, std::move(*stream), requests_);
            session->Start();
            sessions_.emplace(id, std::move(session));
          }
        }
        Accept();
      });
}

void Clients::Send(ClientId client, std::string bytes) {
  const auto found = sessions_.find(client);
  if (found != sessions_.end()) found->second->Send(std::move(bytes));
}

void Clients::Broadcast(const wire::Frame& frame) {
  for (const auto& [id, session] : sessions_) {
    if (session->greeted()) session->Send(EncodeFrame(frame));
  }
}

bool Clients::AnyGreeted() const {
  return std::any_of(sessions_.begin(), sessions_.end(),
                     [](const auto& entry) { return entry.second->greeted(); });
}

bool Clients::Forget(ClientId client) {
  const auto found = sessions_.find(client);
  if (found == sessions_.end()) return false;
  // It is destroyed from the loop.
  asio::post(loop_, [session = std::shared_ptr<Session>(std::move(found->second))] {});
  sessions_.erase(found);
  return true;
}

bool Clients::Refuse(ClientId client, const Error& error) {
  const auto found = sessions_.find(client);
  if (found == sessions_.end()) return false;
  found->second->Refuse(error);
  return true;
}

void Clients::CloseSocket() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

void Clients::Finish() {
  for (const auto& [id, session] : sessions_) session->Finish();
  CloseSocket();
}

}  // namespace pyro::supervisor
