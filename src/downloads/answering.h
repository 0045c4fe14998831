// One answer of the handler.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "downloads/handler.h"

namespace pyro::downloads {

// What a source is asked to send: one of a few forms, by what the client can read.
std::string AcceptOf(Kind kind, Lifetime lifetime, const Headers& request);

class Handler::Answering {
 public:
  // All of it is borrowed until Run() returns. `routed` has a lifetime.
  Answering(Handler& handler, const Request& request, ResponseSink& sink, Upstream& source,
            const RoutedUrl& routed);

  Status Run();

 private:
  bool IsFresh(const Entry& entry) const;
  std::optional<StoredDownload> FindStored();
  Status Fetch(std::optional<StoredDownload> old);
  Result<std::unique_ptr<SourceResponse>> Ask(const std::optional<StoredDownload>& old);
  Status ServeUnreached(std::optional<StoredDownload> old, const Error& why);
  Status ServeStored(const StoredDownload& stored, std::string_view how);
  Status SendPart(const StoredDownload& stored, std::uint64_t first, std::uint64_t count);
  Status Take(SourceResponse& response);
  bool MayBeStored(const SourceResponse& response) const;
  std::optional<StoredDownload> Keep(NewContent content, const SourceResponse& response);
  Status Pass(SourceResponse& response);
  Status SayWords(int status, std::string_view sentence);
  void Tell(Report::Kind kind, std::string line) const {
    handler_.store_.options().report({kind, key_.url, std::move(line)});
  }
  bool IsHead() const { return request_.method == "HEAD"; }
  std::string Server() const;

  Handler& handler_;
  const Request& request_;
  ResponseSink& sink_;
  Upstream& source_;
  const RoutedUrl& routed_;
  const EntryKey key_;
  const CacheControl asked_;
  const WallTime began_;
};

}  // namespace pyro::downloads
