#include "downloads/routes.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::downloads {
namespace {

std::vector<std::string_view> WordsOf(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const std::string_view word = line.substr(0, line.find_first_of(" \t\r"));
    words.push_back(word);
    line.remove_prefix(word.size());
  }
}

// nullopt: it is no URL that others can be below.
std::optional<Url> FolderUrl(std::string_view text) {
  auto url = ParseUrl(text);
  if (!url || !url->path.ends_with('/') || !url->query.empty()) return std::nullopt;
  return *std::move(url);
}

std::optional<Route> ParseRoute(std::string_view line) {
  const auto words = WordsOf(line);
  if (words.size() != 3 && words.size() != 4) return std::nullopt;
  const auto kind = ParseKind(words[1]);
  const auto guest = FolderUrl(words[2]);
  const auto source = FolderUrl(words.back());
  if (!words[0].starts_with('@') || words[0].size() < 2 || !kind || !guest || !source) {
    return std::nullopt;
  }
  return Route{.preset = std::string(words[0]),
               .kind = *kind,
               .guest = *guest,
               .source = *source,
               .from_settings = words.size() == 4};
}

}  // namespace

Result<Routes> Routes::Parse(std::string_view text) {
  if (text.size() > kMaxRoutesBytes) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the download hosts have more than {} bytes", kMaxRoutesBytes),
                     "install pyro again");
  }
  Routes routes;
  int number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    line = TrimSpace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    auto route = ParseRoute(line);
    if (!route) {
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("line {} of the download hosts is not '@NAME KIND URL [SOURCE]'", number),
          "both URLs end in '/'; KIND is apt, pypi, pypifiles, npm, index or crates");
    }
    PYRO_RETURN_IF_ERROR(routes.Add(*std::move(route)));
  }
  return routes;
}

std::string Routes::Format() const {
  std::string text;
  for (const Route& route : routes_) {
    text +=
        fmt::format("{} {} {}{}{}\n", route.preset, Name(route.kind), route.guest.Text(),
                    route.from_settings ? " " : "", route.from_settings ? route.source.Text() : "");
  }
  return text;
}

Status Routes::Add(Route route) {
  const auto same = std::ranges::find(routes_, route.guest, &Route::guest);
  if (same != routes_.end()) {
    *same = std::move(route);
    return OkStatus();
  }
  if (routes_.size() == kMaxRoutes) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("there are more than {} download hosts", kMaxRoutes),
                     "name fewer mirrors in this host's configuration");
  }
  routes_.push_back(std::move(route));
  return OkStatus();
}

std::optional<RoutedUrl> Routes::Find(const Url& asked) const {
  const Route* best = nullptr;
  for (const Route& route : routes_) {
    if (!route.guest.SameServer(asked) || !asked.path.starts_with(route.guest.path)) continue;
    if (best == nullptr || route.guest.path.size() > best->guest.path.size()) best = &route;
  }
  if (best == nullptr) return std::nullopt;
  const std::string_view below = std::string_view(asked.path).substr(best->guest.path.size());
  RoutedUrl found{.route = best, .source = best->source, .lifetime = {}, .promised_sha256 = {}};
  found.source.path += below;
  // Each empty part would make another URL of the same download.
  const bool spelled = below.find("//") == std::string_view::npos && !below.starts_with('/');
  if (spelled && asked.query.empty() && found.source.Text().size() <= kMaxUrlBytes) {
    found.lifetime = LifetimeOf(best->kind, below);
    found.promised_sha256 = PromisedSha256(best->kind, below);
  }
  return found;
}

std::vector<std::pair<std::string, std::uint16_t>> Routes::Servers() const {
  std::vector<std::pair<std::string, std::uint16_t>> servers;
  for (const Route& route : routes_) servers.emplace_back(route.guest.host, route.guest.port);
  std::ranges::sort(servers);
  servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
  return servers;
}

}  // namespace pyro::downloads
