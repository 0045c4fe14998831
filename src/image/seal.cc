#include "image/seal.h"

#include <climits>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/store/build_log.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

struct Entries {
  std::size_t count = 0;
  fs::path longest;  // The entry whose own name has the most bytes.
};

// What mkfs.erofs will name, as far as this user may read the tree.
Entries EntriesOf(const fs::path& tree) {
  Entries found;
  std::size_t longest = 0;
  std::error_code error;
  auto entry =
      fs::recursive_directory_iterator(tree, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    ++found.count;
    const std::size_t bytes = entry->path().filename().native().size();
    if (bytes <= longest) continue;
    longest = bytes;
    found.longest = entry->path();
  }
  return found;
}

// mkfs.erofs 1.5 does not find a file whose name has all the bytes that a name may have.
Error ExplainSeal(const fs::path& tree, const Entries& entries, const ToolRun& run) {
  const bool absent = run.tail.find("No such file or directory") != run.tail.npos;
  if (!absent || entries.longest.filename().native().size() != NAME_MAX) {
    return ExplainFailure("mkfs.erofs", run.tail);
  }
  const fs::path folder = "/" / entries.longest.lexically_relative(tree).parent_path();
  return MakeError(ErrorCode::kLimit,
                   fmt::format("a file in '{}' has a name of {} bytes, which this mkfs.erofs "
                               "cannot store",
                               Printable(folder.native()), NAME_MAX),
                   "give it a name of at most 254 bytes");
}

}  // namespace

Status SealTree(const RootNamespace& root, const fs::path& tree, const fs::path& image,
                const std::vector<std::string>& options, const fs::path& work_dir,
                const ProgressFn& progress, Cancellation cancel) {
  if (progress) progress({"seal", "", std::nullopt});
  const Entries entries = EntriesOf(tree);
  StepProgress steps(progress, "seal", entries.count);
  // lz4: two fifths smaller than uncompressed and no slower to read in an emulated guest; lz4hc
  // takes four times as long for a twelfth less. No -T: it would give every file one time.
  std::vector<std::string> argv = {"mkfs.erofs", "-zlz4"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.insert(argv.end(), {image.native(), tree.native()});
  const auto on_line = [&steps](std::string_view line) {
    constexpr std::string_view kEach = "Processing ";
    const auto at = line.find(kEach);
    if (at == std::string_view::npos) return;
    const auto name = line.substr(at + kEach.size());
    steps.Step(name.substr(0, name.rfind(" ...")));
  };
  PYRO_ASSIGN_OR_RETURN(const ToolRun run,
                        root.Run(std::move(argv), work_dir, {}, cancel, on_line));
  return run.status.success() ? OkStatus() : Status(ExplainSeal(tree, entries, run));
}

}  // namespace pyro::image
