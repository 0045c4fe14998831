// Trees to pack, archives to refuse, and a way to compare the results.

#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/extract.h"
#include "archive/formats.h"
#include "archive/pack.h"
#include "archive/tar.h"
#include "base/check.h"
#include "sys/files.h"

namespace pyro::archive {

// A tar, block by block, with any nonsense in it.
class TarBuilder {
 public:
  TarBuilder& Add(char type, std::string_view name, std::string_view content = {},
                  std::string_view target = {}, unsigned mode = 0644) {
    return Header(type, name, content.size(), target, mode).Content(content);
  }

  TarBuilder& Header(char type, std::string_view name, std::uint64_t size,
                     std::string_view target = {}, unsigned mode = 0644) {
    char block[512] = {};
    name.substr(0, 100).copy(block, 100);
    Put(block + 100, fmt::format("{:07o}", mode));
    Put(block + 108, "0001750");
    Put(block + 116, "0001750");
    if (size < (1ull << 33)) {
      Put(block + 124, fmt::format("{:011o}", size));
    } else {
      block[124] = static_cast<char>(0x80);
      for (int i = 0; i < 8; ++i) block[135 - i] = static_cast<char>(size >> (8 * i));
    }
    Put(block + 136, "14000000000");
    block[156] = type;
    target.substr(0, 100).copy(block + 157, 100);
    std::memcpy(block + 257, "ustar\00000", 8);
    std::memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (const char byte : block) sum += static_cast<unsigned char>(byte);
    Put(block + 148, fmt::format("{:06o}", sum));
    bytes_.append(block, sizeof block);
    return *this;
  }

  TarBuilder& Content(std::string_view content) {
    bytes_ += content;
    bytes_.resize((bytes_.size() + 511) / 512 * 512);
    return *this;
  }

  // Attributes, "12 key=value\n" each, of the next entry.
  TarBuilder& Pax(const std::map<std::string, std::string>& attributes) {
    return Add('x', "pax", Records(attributes));
  }

  // The same, of all entries that follow.
  TarBuilder& Global(const std::map<std::string, std::string>& attributes) {
    return Add('g', "pax", Records(attributes));
  }

  std::string Unfinished() const { return bytes_; }
  std::string Finished() const { return bytes_ + std::string(1024, '\0'); }

 private:
  static std::string Records(const std::map<std::string, std::string>& attributes) {
    std::string text;
    for (const auto& [key, value] : attributes) {
      const std::string record = fmt::format(" {}={}\n", key, value);
      std::size_t length = record.size() + 1;
      while (fmt::format("{}", length).size() + record.size() != length) ++length;
      text += fmt::format("{}{}", length, record);
    }
    return text;
  }

  static void Put(char* to, const std::string& text) { text.copy(to, text.size()); }

  std::string bytes_;
};

// `level`: as the format counts; "0" of gzip stores the bytes as they are.
inline std::string Compress(std::string_view bytes, Compression compression = Compression::kGzip,
                            const char* level = nullptr) {
  std::string packed(bytes.size() * 2 + (1 << 16), '\0');
  std::size_t used = 0;
  struct ::archive* const writer = archive_write_new();
  archive_write_set_format_raw(writer);
  const char* name = "gzip";
  switch (compression) {
    case Compression::kGzip:
      archive_write_add_filter_gzip(writer);
      break;
    case Compression::kBzip2:
      archive_write_add_filter_bzip2(writer);
      name = "bzip2";
      break;
    case Compression::kXz:
      archive_write_add_filter_xz(writer);
      name = "xz";
      break;
    case Compression::kZstd:
      archive_write_add_filter_zstd(writer);
      name = "zstd";
      break;
    case Compression::kNone:
      return std::string(bytes);
  }
  if (level != nullptr) {
    PYRO_CHECK(archive_write_set_filter_option(writer, name, "compression-level", level) ==
               ARCHIVE_OK);
  }
  PYRO_CHECK(archive_write_open_memory(writer, packed.data(), packed.size(), &used) == ARCHIVE_OK);
  archive_entry* const entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  PYRO_CHECK(archive_write_header(writer, entry) == ARCHIVE_OK);
  archive_write_data(writer, bytes.data(), bytes.size());
  archive_entry_free(entry);
  archive_write_close(writer);
  archive_write_free(writer);
  packed.resize(used);
  return packed;
}

// A descriptor that reads `bytes`.
inline sys::UniqueFd FdOf(std::string_view bytes) {
  sys::UniqueFd fd(::memfd_create("archive", MFD_CLOEXEC));
  PYRO_CHECK(sys::WriteAll(fd.get(), bytes).ok());
  PYRO_CHECK(::lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

inline std::string ReadBack(int fd) {
  PYRO_CHECK(::lseek(fd, 0, SEEK_SET) == 0);
  return sys::ReadAll(fd, 1 << 30).value();
}

struct EntryWithContent {
  Entry entry;
  std::string content;
};

// Of a tar that has no fault.
inline std::vector<EntryWithContent> ReadTar(const std::string& tar) {
  const ByteNames byte_names;
  const sys::UniqueFd in = FdOf(tar);
  const Operation operation;
  Meter meter(operation);
  FdSource source(in.get(), meter);
  const auto reader = TarReader::Create(source, meter, ErrorCode::kProtocol).value();
  reader->KeepAttributes();
  std::vector<EntryWithContent> entries;
  while (auto entry = reader->Next().value()) {
    entries.push_back({*std::move(entry), {}});
    while (const auto piece = reader->Read().value()) entries.back().content += piece->bytes;
  }
  return entries;
}

inline Result<Staged> ReceiveBytes(std::string_view bytes, const std::filesystem::path& dest,
                                   ExportKind kind, const Operation& operation = {}) {
  return Receive(FdOf(bytes).get(), {dest, kind}, operation);
}

// The properties that a copy must share with its original; not the owner.
inline std::map<std::string, std::string> Describe(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> found;
  std::map<ino_t, std::string> first;
  std::map<std::string, fs::path> paths = {{"", root}};
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    paths[entry.path().native().substr(root.native().size())] = entry.path();
  }
  for (const auto& [name, path] : paths) {
    struct stat info {};
    PYRO_CHECK(::lstat(path.c_str(), &info) == 0);
    std::string text =
        fmt::format("{:o} {}.{:09}", info.st_mode, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    if (S_ISLNK(info.st_mode)) text += " -> " + fs::read_symlink(path).native();
    if (!S_ISDIR(info.st_mode)) {
      text += " is " + first.try_emplace(info.st_ino, name).first->second;
    }
    if (S_ISREG(info.st_mode)) {
      text += fmt::format(" {} bytes", info.st_size);
      if (info.st_size < (1 << 22)) {
        std::ifstream file(path, std::ios::binary);
        text += " " + std::string(std::istreambuf_iterator<char>(file), {});
      }
    }
    found[name] = text;
  }
  return found;
}

inline std::int64_t DiskBytes(const std::filesystem::path& path) {
  struct stat info {};
  PYRO_CHECK(::lstat(path.c_str(), &info) == 0);
  return static_cast<std::int64_t>(info.st_blocks) * 512;
}

inline void WriteFile(const std::filesystem::path& path, std::string_view content,
                      unsigned mode = 0644) {
  std::ofstream(path, std::ios::binary) << content;
  PYRO_CHECK(::chmod(path.c_str(), mode) == 0);
}

// A file of 1 GiB with three blocks in it, and one that is all hole.
inline void MakeSparse(const std::filesystem::path& path, off_t size) {
  const sys::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  PYRO_CHECK(::ftruncate(fd.get(), size) == 0);
  const std::string block(4096, 'x');
  for (const off_t at : {off_t{1 << 20}, size / 2, size - (2 << 20)}) {
    PYRO_CHECK(::pwrite(fd.get(), block.data(), block.size(), at) == 4096);
  }
}

// Files that a careless copy gets wrong.
inline void MakeNastyTree(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  fs::create_directories(root / "a/b");
  fs::create_directory(root / "a-b");
  fs::create_directory(root / "empty");
  WriteFile(root / "a/file", "content\n");
  WriteFile(root / "empty file", "");
  WriteFile(root / "program", std::string(100'000, 'p'), 0755);
  WriteFile(root / "secret", "x", 0400);
  WriteFile(root / "new\nline \xff\xfe caf\xc3\xa9 cafe\xcc\x81", "odd");
  WriteFile(root / "-rf", "option");
  WriteFile(root / std::string(255, 'n'), "long");
  fs::create_hard_link(root / "a/file", root / "a/b/same");
  fs::create_symlink("nowhere/\xe9", root / "dangling");
  fs::create_symlink("/etc/passwd", root / "absolute");
  fs::create_symlink(std::string(1000, 't'), root / "long link");
  fs::create_directory_symlink("a", root / "to a");
  fs::create_hard_link(root / "dangling", root / "same dangling");
  PYRO_CHECK(::truncate((root / "empty file").c_str(), 0) == 0);
  MakeSparse(root / "sparse", off_t{1} << 30);
  WriteFile(root / "hole", "");
  PYRO_CHECK(::truncate((root / "hole").c_str(), 5 << 20) == 0);
  fs::path deep = root / "deep";
  for (int i = 0; i < 15; ++i) deep /= std::string(200, 'd');
  fs::create_directories(deep);
  WriteFile(deep / "bottom", "deep");
  ::chmod((root / "a/b").c_str(), 0555);
  ::chmod((root / "empty").c_str(), 0700);
  const timespec times[2] = {{0, UTIME_OMIT}, {1'234'567'890, 123'456'789}};
  const timespec old[2] = {{0, UTIME_OMIT}, {-5, 0}};
  for (const char* name : {"a/file", "a/b", "dangling", "sparse", ""}) {
    PYRO_CHECK(::utimensat(AT_FDCWD, (root / name).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  }
  PYRO_CHECK(::utimensat(AT_FDCWD, (root / "secret").c_str(), old, 0) == 0);
}

}  // namespace pyro::archive
