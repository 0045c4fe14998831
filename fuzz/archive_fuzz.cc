// Archives from a user and streams from a hostile guest: any content gives an error or files,
// and nothing beside the destination is touched.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "archive/extract.h"
#include "archive/pack.h"
#include "base/check.h"
#include "sys/files.h"
#include "tar_checksums.h"

namespace {

namespace fs = std::filesystem;
using namespace pyro;

// A directory in memory; of each input its own, because a fuzzer ends without any clean-up.
class Sandbox {
 public:
  Sandbox() {
    const bool in_memory = fs::is_directory("/dev/shm");
    std::string name =
        (in_memory ? fs::path("/dev/shm") : fs::temp_directory_path()) / "pyro-fuzz-XXXXXX";
    PYRO_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
    std::ofstream(path_ / "victim") << "untouched";
  }
  ~Sandbox() {
    std::error_code error;
    fs::remove_all(path_, error);
  }

  fs::path dest() const { return path_ / "dest"; }

  void Check(bool dest_expected) const {
    std::size_t entries = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path_)) ++entries;
    PYRO_CHECK(entries == (dest_expected ? 2u : 1u));
    struct stat info {};
    PYRO_CHECK(::lstat((path_ / "victim").c_str(), &info) == 0);
    PYRO_CHECK(S_ISREG(info.st_mode) && info.st_size == 9 && info.st_nlink == 1);
  }

  void Clear() const { PYRO_CHECK(sys::RemoveTree(dest()).ok()); }

 private:
  fs::path path_;
};

sys::UniqueFd FdOf(std::string_view bytes) {
  sys::UniqueFd fd(::memfd_create("archive", MFD_CLOEXEC));
  PYRO_CHECK(sys::WriteAll(fd.get(), bytes).ok() && ::lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Sandbox sandbox;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 != 0) bytes = WholeArchive(std::move(bytes));
  pyro::archive::Operation operation;
  operation.max_bytes = 1 << 20;

  const auto kind = data[0] % 3 == 0   ? pyro::archive::ExportKind::kFile
                    : data[0] % 3 == 1 ? pyro::archive::ExportKind::kTar
                                       : pyro::archive::ExportKind::kDirectory;
  {
    const sys::UniqueFd in = FdOf(bytes);
    auto staged = pyro::archive::Receive(in.get(), {sandbox.dest(), kind}, operation);
    const bool committed = staged.ok() && staged->Commit().ok();
    PYRO_CHECK(committed == staged.ok());
    sandbox.Check(committed);
    sandbox.Clear();
  }

  // What is copied as checked can be received, up to what a file system refuses.
  const sys::UniqueFd in = FdOf(bytes);
  const sys::UniqueFd out = FdOf("");
  const fs::path path = "/proc/self/fd/" + std::to_string(in.get());
  const auto copied = pyro::archive::CopyArchive(path, out.get(), operation);
  PYRO_CHECK(::lseek(out.get(), 0, SEEK_SET) == 0);
  auto received = pyro::archive::Receive(
      out.get(), {sandbox.dest(), pyro::archive::ExportKind::kTar}, operation);
  PYRO_CHECK(!received.ok() || copied.ok());
  return 0;
}
