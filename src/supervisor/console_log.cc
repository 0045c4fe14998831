#include "supervisor/console_log.h"

#include <fcntl.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::supervisor {

Result<std::shared_ptr<ConsoleLog>> ConsoleLog::Start(boost::asio::io_context& loop,
                                                      sys::UniqueFd source,
                                                      const std::filesystem::path& path) {
  std::shared_ptr<ConsoleLog> log(new ConsoleLog(loop));
  PYRO_ASSIGN_OR_RETURN(log->file_, sys::OpenRegularFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  boost::system::error_code error;
  log->source_.assign(source.get(), error);
  if (error) return sys::ErrnoError(error.value(), "watch console");
  (void)source.Release();
  log->Read();
  return log;
}

void ConsoleLog::Read() {
  source_.async_read_some(
      boost::asio::buffer(buffer_),
      [self = shared_from_this()](boost::system::error_code error, std::size_t bytes) {
        if (error) return;
        self->Store(std::string_view(self->buffer_).substr(0, bytes));
        self->Read();
      });
}

void ConsoleLog::Store(std::string_view bytes) {
  tail_.Append(bytes);
  const auto room = static_cast<std::size_t>(kMaxConsoleBytes - written_);
  if (room == 0) return;
  // A full disk must not end the guest: its console is then only kept in memory.
  (void)sys::WriteAll(file_.get(), bytes.substr(0, room));
  written_ += std::min(room, bytes.size());
  if (written_ == kMaxConsoleBytes) {
    (void)sys::WriteAll(file_.get(), "\n[pyro: the console log is full]\n");
  }
}

std::string ConsoleLog::Tail() const { return LastLines(tail_.Text(), 8); }

void ConsoleLog::Close() {
  boost::system::error_code ignored;
  source_.close(ignored);
}

std::string LastLines(std::string_view text, std::size_t lines) {
  std::vector<std::string> kept;
  const auto all = Split(text, '\n');
  for (auto it = all.rbegin(); it != all.rend() && kept.size() < lines; ++it) {
    const std::string_view line = TrimSpace(*it);
    if (!line.empty()) kept.push_back(Printable(line, 200));
  }
  std::string out;
  for (auto it = kept.rbegin(); it != kept.rend(); ++it) {
    if (!out.empty()) out += '\n';
    out += *it;
  }
  return out;
}

}  // namespace pyro::supervisor
