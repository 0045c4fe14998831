#include "agent/answers.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "agent/file_systems.h"
#include "base/text.h"
#include "base/time.h"
#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

constexpr std::int64_t kKernelThread = 0x00200000;  // PF_KTHREAD of the kernel.
// Of /proc: what a guest has mounted there may have no end.
constexpr int kMaxEntries = 64 * 1024;
// What is in the frame beside the processes takes less.
constexpr std::size_t kMaxListBytes = wire::kMaxMessageBytes - 1024;

constexpr int kSignalRounds = 3;
// For processes to end that a signal ends. Other questions wait meanwhile.
constexpr std::chrono::milliseconds kSignalGrace{500};
constexpr int kSignalLookMs = 20;

// A file of a process, cut at `most` bytes; empty if it has gone.
std::string ReadOf(int process, const char* name, std::size_t most) {
  const sys::UniqueFd file(::openat(process, name, O_RDONLY | O_CLOEXEC));
  std::string text(most, '\0');
  std::size_t size = 0;
  while (file.valid() && size < most) {
    const ssize_t n = ::read(file.get(), text.data() + size, most - size);
    if (n <= 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  return text;
}

// The number after `before` in the text, or 0.
std::int64_t NumberAfter(std::string_view text, std::string_view before) {
  const std::size_t at = text.find(before);
  if (at == std::string_view::npos) return 0;
  text.remove_prefix(at + before.size());
  return ParseInt(text.substr(0, text.find_first_not_of("0123456789"))).value_or(0);
}

// False: it has gone, or is a thread of the kernel.
bool ReadProcess(int directory, wire::Process& process) {
  // The name, in brackets, may hold any byte.
  const std::string stat = ReadOf(directory, "stat", 4096);
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) return false;
  const auto fields = Split(std::string_view(stat).substr(close + 1), ' ');  // The first is empty.
  if (fields.size() < 23) return false;
  const auto number = [&](std::size_t index) { return ParseInt(fields[index]).value_or(0); };
  if ((number(7) & kKernelThread) != 0) return false;
  const std::int64_t ticks = ::sysconf(_SC_CLK_TCK);
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  process.parent = number(2);
  process.state = fields[1];
  process.cpu_ms = (number(12) + number(13)) * 1000 / ticks;
  process.age_seconds = std::max<std::int64_t>(0, now.tv_sec - number(20) / ticks);
  process.rss_kib = number(22) * (::sysconf(_SC_PAGESIZE) / 1024);
  process.name = stat.substr(open + 1, close - open - 1);
  process.uid = NumberAfter(ReadOf(directory, "status", 4096), "\nUid:\t");
  process.command = ReadOf(directory, "cmdline", wire::kMaxProcessCommand);
  const std::string_view below =
      std::string_view(kCgroupDirectory).substr(sizeof "/sys/fs/cgroup" - 1);
  process.sequence = NumberAfter(ReadOf(directory, "cgroup", 4096), fmt::format("0::{}/", below));
  return true;
}

// Calls `take` for each process until it returns false. Returns whether all were taken.
template <typename F>
Result<bool> ForEachProcess(F take) {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return sys::ErrnoError(errno, "open", "/proc");
  int seen = 0;
  while (const dirent* entry = ::readdir(proc.get())) {
    const auto pid = ParseInt(entry->d_name);
    wire::Process process;
    if (++seen > kMaxEntries) return false;
    if (!pid || *pid < 1) continue;
    process.pid = *pid;
    const sys::UniqueFd directory(
        ::openat(::dirfd(proc.get()), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() || !ReadProcess(directory.get(), process)) continue;
    if (!take(std::move(process))) return false;
  }
  return true;
}

Result<wire::Processes> ListProcesses(const Question&) {
  wire::Processes found;
  std::size_t bytes = 0;
  const auto all = ForEachProcess([&](wire::Process process) {
    bytes += ToCbor(FieldsToJson(wire::kProcess, &process)).size();
    if (found.processes.size() == wire::kMaxProcesses || bytes > kMaxListBytes) return false;
    found.processes.push_back(std::move(process));
    return true;
  });
  if (!all) return all.error();
  found.truncated = !*all;
  return found;
}

// Of a command: by its cgroup, and by the process group of its first process where there are none.
bool BelongsTo(const wire::Process& process, const Question& question) {
  const auto pid = static_cast<pid_t>(process.pid);
  return process.state != "Z" &&
         (process.sequence == question.ask.sequence || ::getpgid(pid) == question.first);
}

Result<std::int64_t> CountOf(const Question& question) {
  std::int64_t count = 0;
  const auto all = ForEachProcess([&](const wire::Process& process) {
    count += BelongsTo(process, question) ? 1 : 0;
    return true;
  });
  if (!all) return all.error();
  return count;
}

// The descriptor is opened before the process is looked at: a later process of that id gets
// nothing.
bool SendSignal(const wire::Process& process, const Question& question) {
  const sys::UniqueFd pidfd(
      static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), 0)));
  const sys::UniqueFd directory(
      ::open(fmt::format("/proc/{}", process.pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  wire::Process now = {.pid = process.pid};
  if (!pidfd.valid() || !directory.valid() || !ReadProcess(directory.get(), now)) return false;
  if (!BelongsTo(now, question)) return false;
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), question.ask.signal, nullptr, 0) == 0;
}

// One that a process forks meanwhile is found in a later round.
Result<wire::Signalled> Signal(const Question& question) {
  if (question.first == 0) {
    return MakeError(ErrorCode::kWrongState,
                     fmt::format("command {} does not run", question.ask.sequence));
  }
  wire::Signalled told;
  std::set<std::int64_t> done;
  for (int round = 0; round < kSignalRounds; ++round) {
    bool found = false;
    const auto all = ForEachProcess([&](wire::Process process) {
      if (!BelongsTo(process, question) || done.contains(process.pid)) return true;
      if (question.ask.first && process.pid != question.first) return true;
      done.insert(process.pid);
      if (!SendSignal(process, question)) return true;
      found = true;
      ++told.count;
      if (told.processes.size() < wire::kMaxSignalled) told.processes.push_back(std::move(process));
      return true;
    });
    if (!all) return all.error();
    if (!found) break;
  }
  const Deadline deadline = Deadline::After(kSignalGrace);
  while (true) {
    auto left = CountOf(question);
    if (!left) return left.error();
    told.left = *left;
    if (told.left == 0 || deadline.Expired()) return told;
    ::poll(nullptr, 0, kSignalLookMs);
  }
}

}  // namespace

struct Answers::Shared {
  struct Waiting {
    Question question;
    const Answerer* answerer;
  };

  // Answers until none waits.
  void Work() {
    std::unique_lock lock(mutex);
    while (!waiting.empty()) {
      const Waiting next = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      auto frame = next.answerer->answer(next.question);
      if (frame && frame->payload.size() > wire::kMaxMessageBytes) {
        frame = MakeError(ErrorCode::kLimit, "the answer is too long");
      }
      lock.lock();
      done.push_back(frame ? std::move(*frame)
                           : wire::ErrorFrame(next.question.channel, frame.error()));
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t n = ::write(event.get(), &one, sizeof one);
    }
    working = false;
  }

  std::vector<Answerer> answerers;
  sys::UniqueFd event;
  std::mutex mutex;  // Guards the members below.
  std::deque<Waiting> waiting;
  std::vector<wire::Frame> done;
  bool working = false;  // A thread does.
};

Result<std::unique_ptr<Answers>> Answers::Create(std::vector<Answerer> answerers) {
  auto shared = std::make_shared<Shared>();
  shared->answerers = std::move(answerers);
  shared->event = sys::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->event.valid()) return sys::ErrnoError(errno, "eventfd");
  return std::unique_ptr<Answers>(new Answers(std::move(shared)));
}

Answers::~Answers() {
  const std::lock_guard lock(shared_->mutex);
  shared_->waiting.clear();
}

Status Answers::Ask(Question question) {
  const auto known =
      std::find_if(shared_->answerers.begin(), shared_->answerers.end(),
                   [&](const Answerer& one) { return one.question == question.ask.question; });
  if (known == shared_->answerers.end()) {
    return MakeError(ErrorCode::kNotFound, "the guest's agent does not know this question");
  }
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting.size() >= kMaxWaiting) {
    return MakeError(ErrorCode::kLimit, fmt::format("{} questions wait already", kMaxWaiting));
  }
  shared_->waiting.push_back({std::move(question), &*known});
  if (shared_->working) return OkStatus();
  try {
    std::thread([shared = shared_] { shared->Work(); }).detach();
  } catch (const std::system_error&) {
    shared_->waiting.pop_back();
    return MakeError(ErrorCode::kUnavailable, "the guest has no room for another thread");
  }
  shared_->working = true;
  return OkStatus();
}

int Answers::fd() const { return shared_->event.get(); }

std::vector<wire::Frame> Answers::Take() {
  std::uint64_t ignored;
  [[maybe_unused]] const ssize_t n = ::read(shared_->event.get(), &ignored, sizeof ignored);
  const std::lock_guard lock(shared_->mutex);
  return std::exchange(shared_->done, {});
}

std::vector<Answerer> GuestAnswerers() {
  return {Answering<&ListProcesses>(), Answering<&Signal>()};
}

}  // namespace pyro::agent
