#include "engine/task/transfer_notices.h"

#include <fmt/format.h>

#include "base/text.h"
#include "engine/requests.h"

namespace pyro::engine {
namespace {

constexpr std::size_t kNameBytes = 100;

// "'a', 'b' and 3 more"
std::string List(const std::vector<std::string>& names, std::uint64_t count) {
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ", ";
    list += fmt::format("'{}'", Printable(name, kNameBytes));
  }
  if (count > names.size()) list += fmt::format(" and {} more", count - names.size());
  return list;
}

std::string_view InWords(wire::FileNoteKind kind) {
  switch (kind) {
    case wire::FileNoteKind::kSocket:
      return "left out as sockets";
    case wire::FileNoteKind::kChanged:
      return "changed while they were read and may be incomplete";
    case wire::FileNoteKind::kAttributes:
      return "without extended attributes that a tar cannot hold";
    case wire::FileNoteKind::kUnreadable:
      break;
  }
  return "left out because the task's system cannot read them";
}

// What a copy of a task knows by the same path is there.
bool IsInWorkspace(std::string_view path) {
  const std::string_view workspace = kWorkspace;
  return path.starts_with(workspace) && path.substr(workspace.size()).starts_with('/');
}

}  // namespace

std::vector<std::string> SeedNotices(const archive::Summary& summary, std::string_view source) {
  std::vector<std::string> notices;
  if (summary.skipped > 0) {
    notices.push_back(fmt::format("left out as sockets or devices: {}",
                                  List(summary.skipped_names, summary.skipped)));
  }
  if (!summary.own_names.empty()) {
    notices.push_back(fmt::format("left out as pyro's own directories: {}",
                                  List(summary.own_names, summary.own_names.size())));
  }
  if (summary.changed > 0) {
    notices.push_back(fmt::format("changed while they were copied and may be incomplete: {}",
                                  List(summary.changed_names, summary.changed)));
  }
  if (summary.trailing_bytes > 0) {
    notices.push_back(fmt::format("{} after the end of '{}' are left out, as tar does",
                                  FormatBytes(summary.trailing_bytes),
                                  Printable(source, kNameBytes)));
  }
  for (const auto& [name, path] : summary.git_outside) {
    if (IsInWorkspace(path)) continue;
    notices.push_back(
        fmt::format("git will not work in the guest: '{}' leads to '{}', which is not copied; seed "
                    "from a clone instead ('git clone SOURCE COPY')",
                    Printable(name, kNameBytes), Printable(path, kNameBytes)));
  }
  return notices;
}

std::vector<std::string> ExportNotices(const archive::Summary& summary,
                                       const wire::FileEnd& packed) {
  std::vector<std::string> notices;
  if (summary.skipped > 0) {
    notices.push_back(fmt::format("left out as FIFOs or devices: {}",
                                  List(summary.skipped_names, summary.skipped)));
  }
  for (const wire::FileNote& note : packed.notes) {
    std::vector<std::string> names;
    for (const wire::FileName& one : note.names) names.push_back(one.name);
    notices.push_back(fmt::format("{}: {}", InWords(note.kind),
                                  List(names, static_cast<std::uint64_t>(note.count))));
  }
  return notices;
}

}  // namespace pyro::engine
