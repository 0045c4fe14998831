#include "state/journal/network_changes.h"

#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"
#include "sys/files.h"

namespace pyro::state {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

struct ChangeList {
  std::int64_t schema = 1;
  std::vector<NetworkChange> changes;
};

constexpr Field kChangeListFields[] = {
    Row<ChangeList, &ChangeList::schema>("schema").From(1).To(1),
    Row<ChangeList, &ChangeList::changes>("changes")
        .Of(kNetworkChangeFields)
        .To(kMaxNetworkChanges),
};

std::filesystem::path FileOf(const std::filesystem::path& task_dir) {
  return task_dir / "network.json";
}

}  // namespace

Result<std::vector<NetworkChange>> ReadNetworkChanges(const std::filesystem::path& task_dir) {
  const auto text = sys::ReadFile(FileOf(task_dir), kMaxFileBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::vector<NetworkChange>();
  if (!text) return text.error();
  ChangeList list;
  const auto json = ParseJson(*text, kMaxFileBytes);
  const Status read = json ? ReadFields(kChangeListFields, *json, &list) : Status(json.error());
  if (!read) {
    return MakeError(
        ErrorCode::kDataLoss,
        fmt::format("'{}' is broken: {}", FileOf(task_dir).native(), read.error().message));
  }
  return std::move(list.changes);
}

Status AddNetworkChanges(const std::filesystem::path& task_dir,
                         const std::vector<NetworkChange>& changes) {
  ChangeList list;
  auto before = ReadNetworkChanges(task_dir);
  if (!before && before.error().code != ErrorCode::kDataLoss) return before.error();
  if (before) list.changes = std::move(*before);
  list.changes.insert(list.changes.end(), changes.begin(), changes.end());
  if (list.changes.size() > kMaxNetworkChanges) {
    list.changes.erase(list.changes.begin(),
                       list.changes.end() - static_cast<std::ptrdiff_t>(kMaxNetworkChanges));
  }
  return sys::WriteFileAtomically(FileOf(task_dir),
                                  ToJsonLine(FieldsToJson(kChangeListFields, &list)) + "\n");
}

}  // namespace pyro::state
