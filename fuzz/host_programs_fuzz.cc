// What the host's programs print: apt on its sources, modprobe on modules, the loader on libraries,
// QEMU on its version. Any text is read or left out, and no credential is passed on.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "image/debian/host_apt.h"
#include "image/debian/kernel.h"
#include "jail/jail.h"
#include "vmm/qemu/qemu_program.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  if (size == 0) return 0;
  const std::size_t number = 1 + data[0] % 4;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);

  const auto targets = image::ParseIndexTargets(text);
  PYRO_CHECK(targets.size() <= text.size() + 1);
  PYRO_CHECK(image::SelectTargets(targets, "bookworm").size() <= targets.size());
  PYRO_CHECK(image::BorrowTargets(targets, "trixie").targets.size() <= 3 * targets.size());
  for (const bool deb822 : {false, true}) {
    for (const auto& [name, value] : image::SourceOptions(text, deb822, number)) {
      PYRO_CHECK(name == "Signed-By" || name == "Trusted");
      (void)image::SignedByInImage(value);
    }
  }
  (void)image::SelectAptOptions(text);
  const std::string stripped = image::StripCredentials(text);
  PYRO_CHECK(stripped.size() <= text.size());
  PYRO_CHECK(image::StripCredentials(stripped) == stripped);

  for (const auto& path : image::ParseShowDepends(text)) PYRO_CHECK(!path.empty());
  for (const auto& path : jail::ParseLoaderList(text)) PYRO_CHECK(path.is_absolute());
  if (const auto version = vmm::qemu::ParseQemuVersion(text)) PYRO_CHECK(*version >= 0);
  return 0;
}
