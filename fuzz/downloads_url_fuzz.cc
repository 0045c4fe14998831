// URLs of guests and of redirects: any text is a URL in one spelling or an error, and what routes
// make of it stays below the URL of its source.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "downloads/routes.h"
#include "downloads/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::downloads;
  static const Routes routes = *Routes::Parse(
      "@debian apt http://a.example/\n@pypi pypi https://a.example/\n"
      "@npm npm https://a.example/npm/ http://b.example:81/x/\n"
      "@crates index https://a.example/index/\n@crates crates https://a.example/crates/\n");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string& whole : {std::string(text), "https://a.example/" + std::string(text),
                                   "https://a.example/npm/" + std::string(text)}) {
    const auto url = ParseUrl(whole);
    if (!url) {
      PYRO_CHECK(url.error().code == pyro::ErrorCode::kInvalidArgument);
      continue;
    }
    const auto again = ParseUrl(url->Text());
    PYRO_CHECK(again.ok() && *again == *url && url->path.starts_with('/'));
    const auto found = routes.Find(*url);
    if (!found) continue;
    PYRO_CHECK(found->source.SameServer(found->route->source));
    PYRO_CHECK(found->source.path.starts_with(found->route->source.path));
    if (found->lifetime) PYRO_CHECK(ParseUrl(found->source.Text()).ok());
  }
  static const Url from = *ParseUrl("https://a.example/b/c?d");
  if (const auto next = FollowUrl(from, text)) {
    PYRO_CHECK(*ParseUrl(next->Text()) == *next);
    if (text.starts_with('/') && !text.starts_with("//")) PYRO_CHECK(next->SameServer(from));
  }
  return 0;
}
