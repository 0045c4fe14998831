// Files of a task's directory: its variables, those of a change of it, the record of a snapshot,
// the resets, and the changes of its network. Any bytes are read or refused, and what is written
// again is read back.

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/check.h"
#include "memory_directory.h"
#include "state/instance/task_variables.h"
#include "state/journal/network_changes.h"
#include "state/snapshot/snapshots.h"
#include "sys/files.h"

namespace {

namespace fs = std::filesystem;
using namespace pyro;

// As of a task that has the snapshot "s"; removed at the end.
class TaskDirectory {
 public:
  TaskDirectory() {
    PYRO_CHECK(sys::MakeDirectories(path() / "snapshots/s").ok());
    Write("data.img", "disk");
  }

  const fs::path& path() const { return directory_.path(); }

  void Write(const char* name, std::string_view text) const {
    const auto file = sys::OpenFile(path() / name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    PYRO_CHECK(file.ok() && sys::WriteAll(file->get(), text).ok());
  }

 private:
  MemoryDirectory directory_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TaskDirectory task;
  static const state::InstanceSpec row{.id = InstanceId::FromBits(InstanceKind::kTask, {})};
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  task.Write("env", text);
  if (const auto variables = state::ReadTaskVariables(task.path(), row)) {
    PYRO_CHECK(!variables->contains(""));
    PYRO_CHECK(state::WriteTaskVariables(task.path(), *variables).ok());
    const auto again = state::ReadTaskVariables(task.path(), row);
    PYRO_CHECK(again.ok() && *again == *variables);
  } else {
    PYRO_CHECK(variables.error().code == ErrorCode::kDataLoss);
    // Nothing of the file, which may hold secrets, is in the text.
    static const std::string told = variables.error().message;
    PYRO_CHECK(variables.error().message == told);
  }

  task.Write("env.new", text);
  const auto proposed = state::ReadTaskVariables(task.path(), row);
  PYRO_CHECK(proposed.ok() || proposed.error().code == ErrorCode::kDataLoss);
  (void)state::SettleTaskVariables(task.path(), row);
  fs::remove(task.path() / "env.new");

  task.Write("snapshots/s/record.json", text);
  const auto snapshot = state::ReadSnapshot(task.path(), "s");
  PYRO_CHECK(snapshot.ok() ? snapshot->name == "s" : snapshot.error().code == ErrorCode::kDataLoss);
  const auto list = state::ListSnapshots(task.path());
  PYRO_CHECK(list.ok() && list->size() == (snapshot.ok() ? 1U : 0U));

  task.Write("resets.json", text);
  if (const auto resets = state::ReadResets(task.path())) {
    for (const state::Reset& one : *resets) {
      PYRO_CHECK(one.sequence >= 0 && one.snapshot.size() <= state::kMaxSnapshotName);
    }
  } else {
    PYRO_CHECK(resets.error().code == ErrorCode::kDataLoss);
  }

  task.Write("network.json", text);
  if (const auto changes = state::ReadNetworkChanges(task.path())) {
    PYRO_CHECK(changes->size() <= state::kMaxNetworkChanges);
  } else {
    PYRO_CHECK(changes.error().code == ErrorCode::kDataLoss);
  }
  return 0;
}
