// The layer of an image on its way to a guest: any stream gives an error, or one that the agent's
// reader takes, with names that lead nowhere else.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "agent/tar_content.h"
#include "agent/tar_format.h"
#include "archive/image_layer.h"
#include "base/check.h"
#include "sys/files.h"
#include "tar_checksums.h"

namespace {

using namespace pyro;

class Bytes : public pyro::archive::Source {
 public:
  explicit Bytes(std::string_view bytes) : left_(bytes) {}
  Result<std::string_view> Next() override {
    const std::string_view piece = left_.substr(0, 700);
    left_.remove_prefix(piece.size());
    return piece;
  }

 private:
  std::string_view left_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 != 0) bytes = WholeArchive(std::move(bytes));
  pyro::archive::Operation operation;
  operation.max_bytes = 1 << 20;
  Bytes counted(bytes);
  const auto measured = pyro::archive::CopyImageLayer(counted, -1, operation);
  const sys::UniqueFd out(::memfd_create("layer", MFD_CLOEXEC));
  Bytes plain(bytes);
  const auto layer = pyro::archive::CopyImageLayer(plain, out.get(), operation);
  if (!layer) return 0;
  PYRO_CHECK(measured.ok() && measured->entries == layer->entries);
  PYRO_CHECK(measured->content_bytes == layer->content_bytes);
  PYRO_CHECK(layer->left_out.size() <= 101);
  PYRO_CHECK(::lseek(out.get(), 0, SEEK_SET) == 0);
  agent::TarInput input(agent::TarSource(out.get(), "/"));
  std::uint64_t entries = 0;
  while (true) {
    const auto entry = input.Next();
    PYRO_CHECK(entry.ok());
    if (!*entry) break;
    ++entries;
    PYRO_CHECK(agent::CleanName((*entry)->name).ok());
    if ((*entry)->type == agent::TarEntry::Type::kHardLink) {
      PYRO_CHECK(agent::CleanName((*entry)->target).ok());
    }
  }
  PYRO_CHECK(entries == layer->entries);
  return 0;
}
