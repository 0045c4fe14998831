#include "image/store/build_log.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::image {
namespace {

constexpr std::size_t kDetailBytes = 120;

double Part(int done, int all) {
  return all <= 0 ? 0.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(all));
}

// "0 upgraded, 89 newly installed, 0 to remove": 89.
std::optional<int> NewlyInstalled(std::string_view line) {
  const auto end = line.find(" newly installed");
  if (end == std::string_view::npos) return std::nullopt;
  const auto begin = line.rfind(' ', end - 1);
  const auto number =
      ParseInt(line.substr(begin == std::string_view::npos ? 0 : begin + 1,
                           end - (begin == std::string_view::npos ? 0 : begin + 1)));
  if (!number || *number < 0 || *number > 100000) return std::nullopt;
  return static_cast<int>(*number);
}

// The word after `prefix`: a package's name.
std::string SecondWord(std::string_view line, std::string_view prefix) {
  line.remove_prefix(prefix.size());
  return Printable(line.substr(0, line.find(' ')), kDetailBytes);
}

bool ContainsAny(std::string_view text, std::initializer_list<std::string_view> needles) {
  return std::any_of(needles.begin(), needles.end(), [&](std::string_view needle) {
    return text.find(needle) != std::string_view::npos;
  });
}

// The line that says most about why the network failed, or else `otherwise`.
std::string NetworkReason(std::string_view tail, std::string otherwise) {
  for (const auto line : Split(tail, '\n')) {
    if (ContainsAny(line, {"Could not", "Temporary failure", "Unable to connect", "Connection",
                           "does not have a", "Certificate verification"})) {
      return Printable(TrimSpace(line), 300);
    }
  }
  return otherwise;
}

// The last lines that state an error, or else the last lines.
std::string ErrorLines(std::string_view tail) {
  std::vector<std::string_view> errors;
  std::vector<std::string_view> all;
  for (const auto line : Split(tail, '\n')) {
    const auto trimmed = TrimSpace(line);
    if (trimmed.empty()) continue;
    all.push_back(trimmed);
    if (trimmed.starts_with("E: ") || trimmed.starts_with("dpkg: error") ||
        trimmed.starts_with("dpkg-deb: error") || trimmed.starts_with("<E>") ||
        trimmed.starts_with("Err:")) {
      errors.push_back(trimmed);
    }
  }
  const auto& chosen = errors.empty() ? all : errors;
  std::string text;
  for (std::size_t i = chosen.size() > 3 ? chosen.size() - 3 : 0; i < chosen.size(); ++i) {
    text += fmt::format("{}{}", text.empty() ? "" : "; ", Printable(chosen[i], 300));
  }
  return text.empty() ? "it printed nothing" : text;
}

}  // namespace

void StepProgress::Step(std::string_view detail) {
  ++done_;
  const auto percent = all_ == 0 ? 0 : std::min<std::size_t>(100, done_ * 100 / all_);
  if (!progress_ || percent == percent_) return;
  percent_ = percent;
  progress_({phase_, Printable(detail, kDetailBytes), static_cast<double>(percent) / 100});
}

std::optional<PullProgress> BuildLog::EnterPhase(std::string_view message) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kPhases = {{
      {"running apt-get update", "update"},
      {"downloading packages", "download"},
      {"extracting archives", "extract"},
      {"installing essential packages", "install"},
      {"installing remaining packages", "install"},
      {"running --customize-hook", "kernel"},
  }};
  for (const auto& [text, phase] : kPhases) {
    if (!message.starts_with(text)) continue;
    if (phase == phase_) return std::nullopt;
    phase_ = phase;
    return PullProgress{phase_, "", std::nullopt};
  }
  return std::nullopt;
}

std::optional<PullProgress> BuildLog::OnLine(std::string_view line) {
  if (line.starts_with("I: ")) return EnterPhase(line.substr(3));
  if (const auto count = NewlyInstalled(line)) {
    packages_ += *count;
    return std::nullopt;
  }
  if (line.starts_with("Get:") && phase_ != "update" && phase_ != "kernel") {
    ++fetched_;
    const auto words = Split(line, ' ');
    const auto name = words.size() > 4 ? words[4] : std::string_view();
    return PullProgress{phase_, Printable(name, kDetailBytes), Part(fetched_, packages_)};
  }
  if (line.starts_with("Unpacking ")) {
    ++unpacked_;
    return PullProgress{phase_, SecondWord(line, "Unpacking "),
                        Part(unpacked_ + set_up_, 2 * packages_)};
  }
  if (line.starts_with("Setting up ")) {
    ++set_up_;
    return PullProgress{phase_, SecondWord(line, "Setting up "),
                        Part(unpacked_ + set_up_, 2 * packages_)};
  }
  return std::nullopt;
}

Error ExplainFailure(std::string_view tool, std::string_view tail) {
  const std::string reason = ErrorLines(tail);
  if (ContainsAny(tail,
                  {"No space left on device", "no space left on device", "Disk quota exceeded",
                   "disk quota exceeded", "don't have enough free space"})) {
    return MakeError(
        ErrorCode::kNoSpace, fmt::format("the disk filled up while '{}' ran", tool),
        "free some space (`pyro env prune` removes what is not used), or let PYRO_CACHE_DIR "
        "name a larger disk");
  }
  if (ContainsAny(tail, {"NO_PUBKEY", "is not signed", "EXPKEYSIG", "BADSIG",
                         "signatures couldn't be verified", "signatures were invalid"})) {
    return MakeError(
        ErrorCode::kUnavailable,
        fmt::format("the package mirror's signature is not accepted: {}", reason),
        "sudo apt install debian-archive-keyring, then check that `sudo apt-get update` works");
  }
  if (ContainsAny(tail,
                  {"Could not resolve", "Temporary failure resolving", "Could not connect",
                   "Unable to connect", "Connection failed", "Connection timed out",
                   "Connection refused", "Network is unreachable", "Failed to fetch",
                   "apt-get update", "does not have a Release file", "Certificate verification"})) {
    return MakeError(
        ErrorCode::kUnavailable,
        fmt::format("the package mirror cannot be reached: {}", NetworkReason(tail, reason)),
        "check that `sudo apt-get update` works on this host, then pull again");
  }
  return MakeError(ErrorCode::kInternal, fmt::format("'{}' failed: {}", tool, reason));
}

}  // namespace pyro::image
