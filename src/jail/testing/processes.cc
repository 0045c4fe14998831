#include "jail/testing/processes.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/files.h"

namespace pyro::jail {

pid_t ChildOf(pid_t parent) {
  const std::string wanted = fmt::format("\nPPid:\t{}\n", parent);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const auto pid = ParseInt(entry.path().filename().native());
    if (!pid) continue;
    const auto status = sys::ReadFile(entry.path() / "status", 65536);
    if (status && status->find(wanted) != std::string::npos) return static_cast<pid_t>(*pid);
  }
  return -1;
}

std::string ProcText(pid_t pid, const std::string& name) {
  auto text = sys::ReadFile(fmt::format("/proc/{}/{}", pid, name), 1 << 20);
  EXPECT_TRUE(text.ok()) << (text ? "" : text.error().message);
  return text ? *text : "";
}

std::string ProcStatus(pid_t pid, const std::string& field) {
  const std::string text = ProcText(pid, "status");
  const std::size_t at = text.find("\n" + field + ":");
  if (at == std::string::npos) return "?";
  const std::size_t start = at + field.size() + 2;
  return std::string(
      TrimSpace(std::string_view(text).substr(start, text.find('\n', start) - start)));
}

bool StandsBack(pid_t pid, int niceness) {
  if (::getpriority(PRIO_PROCESS, static_cast<id_t>(pid)) < niceness) return false;
  const auto session = sys::ReadFile(fmt::format("/proc/{}/autogroup", pid), 256);
  if (!session || ::geteuid() != 0) return true;
  const std::size_t at = session->find(" nice ");
  return at != std::string::npos &&
         ParseInt(TrimSpace(std::string_view(*session).substr(at + 6))).value_or(0) >= niceness;
}

std::string AsPlainUser(const std::function<std::string()>& body) {
  if (::geteuid() != 0) return body();
  auto result = sys::MakePipe();
  EXPECT_TRUE(result.ok());
  const pid_t child = ::fork();
  if (child == 0) {
    std::string text = "cannot become another user";
    if (::setgroups(0, nullptr) == 0 && ::setresgid(kPlainUser, kPlainUser, kPlainUser) == 0 &&
        ::setresuid(kPlainUser, kPlainUser, kPlainUser) == 0) {
      text = body();
    }
    static_cast<void>(sys::WriteAll(result->write.get(), text));
    ::_exit(0);
  }
  result->write.Reset();
  auto text = sys::ReadAll(result->read.get(), 65536);
  ::waitpid(child, nullptr, 0);
  return text ? *text : text.error().message;
}

}  // namespace pyro::jail
