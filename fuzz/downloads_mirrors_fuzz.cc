// Configuration of pip, npm and cargo: any text names a mirror or none, and what it names becomes
// routes that are read back as they were written.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "downloads/mirrors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::downloads;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Routes routes = *Routes::Parse(
      "@debian apt http://a.example/\n@pypi pypi https://a.example/py/\n"
      "@npm npm https://a.example/npm/\n@crates index https://a.example/index/\n");
  const auto said = AddMirrors({.pip_index = PipIndexIn(text),
                                .npm_registry = NpmRegistryIn(text),
                                .cargo_index = CargoIndexIn(text),
                                .apt_sources = {std::string(text.substr(0, text.find('\n')))}},
                               routes);
  PYRO_CHECK(said.ok());
  const auto again = Routes::Parse(routes.Format());
  PYRO_CHECK(again.ok() && again->all().size() == routes.all().size());
  return 0;
}
