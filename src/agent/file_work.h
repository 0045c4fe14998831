// The operations behind file_program.h. The error of each has an errno and the path that it is
// about, and no other text; of a patch it may have a code and texts.

#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/file_program.h"
#include "pyro/result.h"
#include "wire/files.h"

namespace pyro::agent {

// How a directory of a tree is opened.
inline constexpr int kOpenTree = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
// Of a hostile tree: each level takes a descriptor and a part of the stack.
inline constexpr int kMostLevels = 4096;
// From there on the content of a file of a tar goes without a copy through this program's memory.
inline constexpr std::int64_t kLargeContent = 64 * 1024;

Error FileError(int number, std::string path);
// With the errno of now.
Error FileErrno(std::string path);

// A path without "." and double slashes, from the root on.
std::string AbsolutePath(const std::string& path);

// `path` is what the entry is to say of itself. `name`, relative to the directory, is read if it is
// a link.
wire::FileEntry EntryOf(int directory, const std::string& name, const struct stat& info,
                        std::string path);

// The directory part, without its last slash, and the name behind it.
std::pair<std::string, std::string> SplitPath(const std::string& path);
Status MakeParents(const std::string& directory);
// Of a file that has its own name only later.
std::string HiddenName();
bool IsHiddenName(std::string_view name);
// The names in a directory, in their order, without "." and "..". Stops at `most` of them, and says
// so; -1: no limit.
struct NamesIn {
  std::vector<std::string> names;
  bool more = false;
};
Result<NamesIn> ReadNames(int directory, std::int64_t most, const std::string& path);

// Removes what has the name in the directory, with what is below it; counts it. `path` is how
// errors call it. `level`: 0.
Status RemoveTree(int directory, const std::string& name, const std::string& path, int level,
                  std::int64_t& removed);

// Copies up to `limit` bytes, or all with a limit of 0. Returns how many there were.
Result<std::int64_t> CopyBytes(int from, int to, std::int64_t limit, const std::string& path);

Result<wire::FileEnd> ReadOperation(const wire::FileRequest& request, const FileStreams& streams);
Result<wire::FileEnd> StatOperation(const wire::FileRequest& request);
Result<wire::FileEnd> ListOperation(const wire::FileRequest& request, const FileStreams& streams);
Result<wire::FileEnd> WriteOperation(const wire::FileRequest& request, const FileStreams& streams);
Result<wire::FileEnd> WriteManyOperation(const wire::FileRequest& request,
                                         const FileStreams& streams);
Result<wire::FileEnd> MakeDirectoryOperation(const wire::FileRequest& request);
Result<wire::FileEnd> RemoveOperation(const wire::FileRequest& request);
Result<wire::FileEnd> MoveOperation(const wire::FileRequest& request);
Result<wire::FileEnd> CopyOperation(const wire::FileRequest& request);
Result<wire::FileEnd> PatchOperation(const wire::FileRequest& request, const FileStreams& streams);
Result<wire::FileEnd> PackOperation(const wire::FileRequest& request, const FileStreams& streams);
Result<wire::FileEnd> UnpackOperation(const wire::FileRequest& request, const FileStreams& streams);
// Of an unpack with `layer`: streams.data is the disk.
Result<wire::FileEnd> LayerOperation(const wire::FileRequest& request, const FileStreams& streams);
// Until the stream of news is closed.
Result<wire::FileEnd> WatchOperation(const wire::FileRequest& request, const FileStreams& streams);

}  // namespace pyro::agent
