#include "engine/guest_tree.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/task/task_transfer.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

// As WriteGitIdentity of the agent has it.
constexpr std::string_view kGitIdentity = "[user]\n\tname = pyro\n\temail = pyro@localhost\n";
constexpr std::string_view kHostLine = "127.0.1.1\tpyro-";
constexpr std::size_t kHostDigits = 8;

// Each guest has its own of these; or, below var, they are on another part of its disk, where
// another guest would not look for them.
constexpr const char* kEmptiedPlaces[] = {
    "dev",           "proc", "run", "sys", "tmp", "var/lib/containerd", "var/lib/containers",
    "var/lib/docker"};

// Without the lines that guests have added for their own names.
std::string WithoutHostNames(const std::string& hosts) {
  std::string kept;
  for (std::string_view rest = hosts; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
    const std::string_view line = rest.substr(0, end + 1);
    rest.remove_prefix(end + 1);
    const std::string_view name =
        line.starts_with(kHostLine) ? TrimSpace(line.substr(kHostLine.size())) : std::string_view();
    if (name.size() == kHostDigits && name.find_first_of(" \t") == name.npos) continue;
    kept += line;
  }
  return kept;
}

std::optional<std::string> Emptied(const std::string&) { return std::string(); }

std::optional<std::string> WithoutGitIdentity(const std::string& content) {
  return content == kGitIdentity ? std::nullopt : std::optional<std::string>(content);
}

}  // namespace

archive::LayerRules RulesOf(const TreeWish& wish) {
  archive::LayerRules rules;
  rules.emptied.insert(std::begin(kEmptiedPlaces), std::end(kEmptiedPlaces));
  // In a guest it may be a directory of the disk, whose time is that of its making.
  (wish.workspace ? rules.stamped : rules.emptied).insert("workspace");
  rules.edits = {{"etc/hostname", Emptied},
                 {"etc/machine-id", Emptied},
                 {"etc/hosts", [](const std::string& hosts) { return WithoutHostNames(hosts); }},
                 {"etc/gitconfig", WithoutGitIdentity}};
  if (wish.network) rules.edits.emplace("etc/resolv.conf", Emptied);
  rules.stamped.insert({"", "etc", "etc/hostname", "etc/machine-id", "etc/hosts"});
  if (wish.network) rules.stamped.insert("etc/resolv.conf");
  rules.stamp =
      std::chrono::duration_cast<std::chrono::seconds>(wish.stamp.time_since_epoch()).count();
  return rules;
}

Status AddNote(const wire::FileNote& note, std::vector<std::string>& left_out) {
  const std::string first = note.names.empty() ? "" : Printable(note.names.front().name);
  const std::string files =
      note.count == 1 ? "/" + first : fmt::format("/{} and {} more", first, note.count - 1);
  if (note.kind == wire::FileNoteKind::kSocket) {
    left_out.push_back("the socket " + files);
    return OkStatus();
  }
  if (note.kind == wire::FileNoteKind::kAttributes) {
    left_out.push_back("extended attributes that a layer cannot hold, of " + files);
    return OkStatus();
  }
  return MakeError(
      ErrorCode::kGuestUnavailable,
      fmt::format("{} files changed while the guest read them, such as '{}'", note.count, first),
      "try again");
}

Result<std::vector<std::string>> ReadTree(SupervisorLink& link, const TreeWish& wish, int layer_fd,
                                          const CallIo& io) {
  const archive::LayerRules rules = RulesOf(wish);
  const archive::Operation operation = MakeOperation(io, "read");
  FileCall pack = PackCall("/");
  pack.request.xattrs = true;
  std::string left_out;  // As a pack reads them.
  for (const std::string& directory : rules.emptied) {
    left_out += directory + "/";
    left_out += '\0';
  }
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd names, sys::MakeMemoryFile(left_out));
  archive::Layer layer;
  const auto receive = [&](int in) -> Status {
    PYRO_ASSIGN_OR_RETURN(layer, archive::CopyLayer(in, layer_fd, rules, operation));
    return OkStatus();
  };
  PYRO_ASSIGN_OR_RETURN(const wire::FileEnd end,
                        StreamFromGuest(link, pack, receive, io, names.get()));
  for (const wire::FileNote& note : end.notes) {
    PYRO_RETURN_IF_ERROR(AddNote(note, layer.left_out));
  }
  return std::move(layer.left_out);
}

}  // namespace pyro::engine
