#include "vmm/uml/filter.h"

#include <string_view>

#include "sys/files.h"

// In filter_blob.S: what make_filter.cc has written.
extern "C" const char kUsermodeFilter[];
extern "C" const char kUsermodeFilterEnd[];

namespace pyro::vmm::uml {

Result<sys::UniqueFd> OpenFilter() {
  return sys::MakeMemoryFile(std::string_view(
      kUsermodeFilter, static_cast<std::size_t>(kUsermodeFilterEnd - kUsermodeFilter)));
}

}  // namespace pyro::vmm::uml
