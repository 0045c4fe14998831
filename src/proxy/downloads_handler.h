// Answers requests for downloads out of the cache that guests share (src/downloads).

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "downloads/store.h"
#include "proxy/config.h"
#include "proxy/handler.h"

namespace pyro::proxy {

// For one loop of one thread; what blocks runs in threads of its own. It lives to the end of its
// process: destroying it would wait for downloads.
class DownloadsHandler : public RequestHandler {
 public:
  // kInvalidArgument; an error of the disk.
  static Result<std::unique_ptr<DownloadsHandler>> Make(const DownloadsConfig& config,
                                                        downloads::StoreOptions store);
  ~DownloadsHandler() override;

  // From now on what the cache does not take is refused for these hosts alone. On the loop.
  void SetOnlyCached(std::vector<net::ServedHost> hosts);

  bool Takes(const Origin& origin, const RequestHead& head) const override;
  std::string WhyRefused(const Origin& origin, const RequestHead& head) const override;
  asio::awaitable<Result<Served>> Serve(Origin origin, RequestHead head, Responder& responder,
                                        Fetcher& fetcher) override;

 private:
  struct Parts;
  explicit DownloadsHandler(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace pyro::proxy
