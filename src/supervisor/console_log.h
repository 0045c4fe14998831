// The guest's console: kept in a file up to a limit, and its end in memory for error messages. The
// text is hostile; it is stored unchanged and made harmless when shown.

#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "base/head_tail.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::supervisor {

inline constexpr std::uint64_t kMaxConsoleBytes = 1024 * 1024;

class ConsoleLog : public std::enable_shared_from_this<ConsoleLog> {
 public:
  // Reads `source` to its end. Beyond kMaxConsoleBytes the file no longer grows; reading goes on,
  // or the guest would wait.
  static Result<std::shared_ptr<ConsoleLog>> Start(boost::asio::io_context& loop,
                                                   sys::UniqueFd source,
                                                   const std::filesystem::path& path);

  // The last lines, fit for a terminal; empty if the guest said nothing.
  std::string Tail() const;

  void Close();

 private:
  explicit ConsoleLog(boost::asio::io_context& loop) : source_(loop) {}
  void Read();
  void Store(std::string_view bytes);

  boost::asio::posix::stream_descriptor source_;
  sys::UniqueFd file_;
  std::uint64_t written_ = 0;
  HeadTail tail_{0, 4096};
  std::string buffer_ = std::string(16 * 1024, '\0');
};

// The last `lines` lines of at most 200 characters, control characters shown as escapes.
std::string LastLines(std::string_view text, std::size_t lines);

}  // namespace pyro::supervisor
