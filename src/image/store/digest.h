// SHA-256, as 64 lower-case hexadecimal digits.

#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "pyro/result.h"

struct evp_md_ctx_st;

namespace pyro::image {

// Of bytes that come in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();

  void Update(const void* bytes, std::size_t size);
  std::string FinishHex();  // Once, after the last piece.

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

std::string Sha256Hex(std::string_view bytes);

// Reads from the descriptor's start to its end; borrowed, its offset is left alone.
Result<std::string> Sha256OfFile(int fd, const std::filesystem::path& name_for_errors);

// The digest of `file`, looked up in `memo` (a small file of ours) and computed only when device,
// inode, size, mtime or ctime differ from what is noted there. A memo that is missing or broken is
// written again; failing to write it is no error. The memo must lie in a directory that only this
// user can write.
Result<std::string> MemoizedSha256(const std::filesystem::path& file,
                                   const std::filesystem::path& memo);

}  // namespace pyro::image
