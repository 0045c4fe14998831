// What a copy into or out of a guest left out, or could not do as it should, in sentences for its
// user.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "archive/operation.h"
#include "pyro/engine.h"
#include "wire/files.h"

namespace pyro::engine {

std::vector<std::string> SeedNotices(const archive::Summary& summary, std::string_view source);

// `packed`: the guest's part, which went on nevertheless.
std::vector<std::string> ExportNotices(const archive::Summary& summary,
                                       const wire::FileEnd& packed);

// Hands notices on and keeps them for a result.
class NoticeBook {
 public:
  // `io` is borrowed.
  explicit NoticeBook(const CallIo& io) : io_(io) {}

  void Add(std::string_view notice) {
    notices_.emplace_back(notice);
    if (io_.on_notice) io_.on_notice(notice);
  }
  void Add(const std::vector<std::string>& notices) {
    for (const std::string& notice : notices) Add(notice);
  }

  // As `io`, with its notices through this object, which must outlive it.
  CallIo Io() {
    CallIo io = io_;
    io.on_notice = [this](std::string_view notice) { Add(notice); };
    return io;
  }

  std::vector<std::string> Take() { return std::move(notices_); }

 private:
  const CallIo& io_;
  std::vector<std::string> notices_;
};

}  // namespace pyro::engine
