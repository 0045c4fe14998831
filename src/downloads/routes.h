// Which URLs of a guest are downloads that the cache serves, and where each is fetched. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "downloads/forms.h"
#include "downloads/url.h"
#include "pyro/result.h"

namespace pyro::downloads {

inline constexpr std::size_t kMaxRoutesBytes = 64 * 1024;
inline constexpr std::size_t kMaxRoutes = 256;

// Both URLs end in '/' and have no query.
struct Route {
  std::string preset;  // "@npm"
  Kind kind = Kind::kApt;
  Url guest;                   // What a guest asks for.
  Url source;                  // Where it is fetched.
  bool from_settings = false;  // The host's own configuration names `source`, also a local one.

  friend bool operator==(const Route&, const Route&) = default;
};

// A path without one of its forms has no lifetime.
struct RoutedUrl {
  const Route* route = nullptr;  // Of the Routes.
  Url source;
  std::optional<Lifetime> lifetime;
  std::string promised_sha256;  // Empty: the URL promises none.
};

// A value.
class Routes {
 public:
  // Lines of "@NAME KIND URL [SOURCE]"; '#' begins a comment. kInvalidArgument names the line.
  static Result<Routes> Parse(std::string_view text);

  // As Parse() takes it, without comments.
  std::string Format() const;

  // One with the same guest URL replaces it. kInvalidArgument: more than kMaxRoutes.
  Status Add(Route route);

  // Of the longest guest URL that `asked` is below; nullopt: the cache has nothing to do with it.
  std::optional<RoutedUrl> Find(const Url& asked) const;

  // Each once, sorted: where guests ask.
  std::vector<std::pair<std::string, std::uint16_t>> Servers() const;

  const std::vector<Route>& all() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace pyro::downloads
