// Lines from a client, through the dispatch of both eras: each request is answered once, with the
// id that it had, and what is written is JSON.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "mcp/server/core.h"
#include "mcp/server/server.h"
#include "mcp/stdio/line_reader.h"
#include "mcp/testing/fixture.h"

namespace {

using namespace pyro::mcp;

class CountingSink final : public Sink {
 public:
  explicit CountingSink(pyro::Json id) : id_(std::move(id)) {}
  void Send(const pyro::Json& message, Kind) override {
    PYRO_CHECK(!ended_);
    PYRO_CHECK(pyro::ParseJson(pyro::ToJsonLine(message)).ok());
  }
  void Finish(const pyro::Json& response, int) override {
    PYRO_CHECK(!ended_.exchange(true));
    PYRO_CHECK(response.at("id") == id_ && response.at("id").type() == id_.type());
    PYRO_CHECK(pyro::ParseJson(pyro::ToJsonLine(response)).ok());
  }
  void Drop() override { PYRO_CHECK(!ended_.exchange(true)); }
  bool ended() const { return ended_; }

 private:
  const pyro::Json id_;
  std::atomic<bool> ended_ = false;
};

Server& TheServer() {
  static Server* const server = [] {
    ServerOptions options;
    options.name = "fuzz";
    options.version = "1";
    options.limits.calls_per_second = 100'000'000;
    // A question without an answer must not delay the next input.
    options.limits.answer_wait = std::chrono::milliseconds(0);
    auto* made = new Server(options);
    testing::AddContentTools(*made);
    testing::AddInputTools(*made);
    testing::AddResources(*made);
    testing::AddPrompts(*made);
    made->SetTaskStore(std::make_shared<testing::MemoryTaskStore>());
    return made;
  }();
  return *server;
}

void Take(std::string_view line, const std::shared_ptr<Peer>& peer) {
  Core& core = TheServer().core();
  auto value = pyro::ParseJson(line);
  if (!value) return;
  Message message = ParseMessage(*std::move(value));
  if (const auto* notification = std::get_if<Notification>(&message)) {
    core.Handle(*notification, peer);
  } else if (const auto* response = std::get_if<Response>(&message)) {
    peer->Resolve(*response);
  }
  auto* request = std::get_if<Request>(&message);
  if (request == nullptr) return;
  RequestScope scope = peer->Scope(peer);
  if (BelongsToModern(*request)) {
    auto envelope = ReadEnvelope(request->params);
    if (!std::holds_alternative<RequestScope>(envelope)) return;
    scope = std::get<RequestScope>(std::move(envelope));
    scope.peer = peer;
  }
  const bool listens = request->method == "subscriptions/listen";
  const auto sink = std::make_shared<CountingSink>(request->id);
  const auto exchange = core.Handle(std::move(*request), std::move(scope), sink);
  if (listens && exchange != nullptr) exchange->Cancel(CancelReason::kRequested);
  PYRO_CHECK(core.WaitIdle(std::chrono::seconds(5)));
  PYRO_CHECK(sink->ended());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto peer = std::make_shared<Peer>("local", [](const pyro::Json&) {});
  TheServer().core().AddPeer(peer);
  LineReader reader(2048);
  reader.Feed(std::string_view(reinterpret_cast<const char*>(data), size));
  while (const auto line = reader.Next()) {
    if (!line->too_long) Take(line->text, peer);
  }
  TheServer().core().RemovePeer(peer, CancelReason::kPeerGone);
  return 0;
}
