#include "front/cli/harmless.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kMaxPart = 4096;  // An escape is up to four times as long.

// The number of bytes at the end that may begin a character or a line's end.
std::size_t Unfinished(std::string_view text) {
  if (text.ends_with('\r')) return 1;
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

}  // namespace

std::string Harmless(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\n\t"), text.size());
    std::string_view plain = text.substr(0, end);
    const bool line = end < text.size() && text[end] == '\n';
    if (line && plain.ends_with('\r')) plain.remove_suffix(1);
    out += Printable(plain, plain.size());
    if (end < text.size()) out += text[end];
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string HarmlessText::Add(std::string_view part) {
  held_.append(part);
  const std::string all = std::exchange(held_, {});
  const std::size_t whole = all.size() - Unfinished(all);
  held_ = all.substr(whole);
  return Harmless(std::string_view(all).substr(0, whole));
}

std::string HarmlessText::Rest() { return Harmless(std::exchange(held_, {})); }

Escapes EscapesOn(int fd, bool raw) {
  return !raw && ::isatty(fd) == 1 ? Escapes::kShown : Escapes::kAct;
}

HarmlessSink::HarmlessSink(bool raw)
    : streams_{Stream{EscapesOn(STDOUT_FILENO, raw), {}, {}},
               Stream{EscapesOn(STDERR_FILENO, raw), {}, {}}} {}

Result<std::size_t> HarmlessSink::Write(OutputStream stream, std::string_view bytes) {
  Stream& to = streams_[stream == OutputStream::kStdout ? 0 : 1];
  if (to.escapes == Escapes::kAct) return sink_.Write(stream, bytes);
  std::size_t taken = 0;
  if (to.pending.empty()) {
    const std::string_view part = bytes.substr(0, kMaxPart);
    to.pending = to.text.Add(part);
    taken = part.size();
  }
  if (to.pending.empty()) return taken;
  const auto written = sink_.Write(stream, to.pending);
  if (!written) return written.error();
  to.pending.erase(0, *written);
  return taken;
}

void HarmlessSink::Finish() {
  Print(std::exchange(streams_[0].pending, {}) + streams_[0].text.Rest());
  Talk(std::exchange(streams_[1].pending, {}) + streams_[1].text.Rest());
}

}  // namespace pyro::cli
