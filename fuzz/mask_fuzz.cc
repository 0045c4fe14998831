// Output of a guest in pieces, from which values are to be hidden: as if it had come at once.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/mask.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::size_t first = 1 + data[0] % 12;
  const std::size_t second = 1 + data[1] % 12;
  if (size < 4 + first + second) return 0;
  pyro::Mask mask;
  mask.Add("A", std::string_view(text).substr(4, first));
  mask.Add("B", std::string_view(text).substr(4 + first, second));
  const std::string_view rest = std::string_view(text).substr(4 + first + second);
  pyro::MaskedStream stream(mask);
  std::string got;
  for (std::size_t at = 0; at < rest.size();) {
    const std::size_t piece = 1 + (data[2] + at * data[3]) % 16;
    got += stream.Feed(rest.substr(at, piece));
    PYRO_CHECK(got.size() <= std::min(at + piece, rest.size()));
    at += piece;
  }
  got += stream.End();
  // Each byte of a value is one of its label, or of that of another one there; no other is changed.
  std::vector<std::string> allowed(rest.size());
  for (const std::size_t one : {0, 1}) {
    const auto value =
        std::string_view(text).substr(one == 0 ? 4 : 4 + first, one == 0 ? first : second);
    std::string label = one == 0 ? "[secret A]" : "[secret B]";
    label.resize(value.size(), '*');
    for (std::size_t at = rest.find(value); at != rest.npos; at = rest.find(value, at + 1)) {
      for (std::size_t i = 0; i < value.size(); ++i) allowed[at + i] += label[i];
    }
  }
  PYRO_CHECK(got.size() == rest.size());
  for (std::size_t i = 0; i < rest.size(); ++i) {
    PYRO_CHECK(allowed[i].empty() ? got[i] == rest[i] : allowed[i].find(got[i]) != allowed[i].npos);
  }
  return 0;
}
