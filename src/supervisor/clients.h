// The clients of a guest: its control socket and those that are connected to it.

#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "pyro/result.h"
#include "supervisor/session.h"
#include "wire/messages.h"

namespace pyro::supervisor {

// Belongs to the loop's thread.
class Clients {
 public:
  // `requests` is borrowed.
  Clients(boost::asio::io_context& loop, ClientRequests& requests)
      : loop_(loop), requests_(requests), acceptor_(loop) {}

  // When it returns, clients can connect. Clients of another user are not served.
  Status Listen(const std::filesystem::path& socket);

  // No effect for a client that has gone.
  void Send(ClientId client, std::string bytes);

  // To each client that has greeted.
  void Broadcast(const wire::Frame& frame);
  bool AnyGreeted() const;

  // Forgets a client that has gone. Its session may be on the stack. False: it was forgotten
  // before.
  bool Forget(ClientId client);

  // The client gets the error as its last frame. False: it has gone.
  bool Refuse(ClientId client, const Error& error);

  // No further client can connect.
  void CloseSocket();

  // The same, and each client that is connected gets what is queued for it, and is disconnected.
  void Finish();

 private:
  void Accept();

  boost::asio::io_context& loop_;
  ClientRequests& requests_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
  std::map<ClientId, std::unique_ptr<Session>> sessions_;
  ClientId next_client_ = 1;
};

}  // namespace pyro::supervisor
