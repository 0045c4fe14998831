#include "image/store/digest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

// One line that changes whenever the file does.
std::string Identity(const struct stat& info) {
  return fmt::format("{} {} {} {}.{} {}.{}", info.st_dev, info.st_ino, info.st_size,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                     info.st_ctim.tv_nsec);
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
  PYRO_CHECK(context_ != nullptr);
  PYRO_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::Update(const void* bytes, std::size_t size) {
  PYRO_CHECK(EVP_DigestUpdate(context_.get(), bytes, size) == 1);
}

std::string Sha256::FinishHex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  PYRO_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes.data(), bytes.size());
  return hash.FinishHex();
}

Result<std::string> Sha256OfFile(int fd, const std::filesystem::path& name_for_errors) {
  constexpr std::size_t kChunk = 1 << 20;
  std::vector<char> buffer(kChunk);
  Sha256 hash;
  off_t offset = 0;
  for (;;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sys::ErrnoError(errno, "read", name_for_errors.native());
    if (n == 0) return hash.FinishHex();
    hash.Update(buffer.data(), static_cast<std::size_t>(n));
    offset += n;
  }
}

Result<std::string> MemoizedSha256(const std::filesystem::path& file,
                                   const std::filesystem::path& memo) {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd fd, sys::OpenRegularFile(file, O_RDONLY));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", file.native());
  const std::string identity = Identity(info);
  if (const auto noted = sys::ReadFile(memo, 4096); noted) {
    const auto lines = Split(*noted, '\n');
    if (lines.size() >= 2 && lines[0] == identity && lines[1].size() == 64) {
      return std::string(lines[1]);
    }
  }
  PYRO_ASSIGN_OR_RETURN(std::string digest, Sha256OfFile(fd.get(), file));
  static_cast<void>(sys::WriteFileAtomically(memo, fmt::format("{}\n{}\n", identity, digest)));
  return digest;
}

}  // namespace pyro::image
