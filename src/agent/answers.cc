#include "agent/answers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <deque>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "agent/file_systems.h"
#include "base/text.h"
#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

constexpr std::int64_t kKernelThread = 0x00200000;  // PF_KTHREAD of the kernel.
// Of /proc: what a guest has mounted there may have no end.
constexpr int kMaxEntries = 64 * 1024;
// What is in the frame beside the processes takes less.
constexpr std::size_t kMaxListBytes = wire::kMaxMessageBytes - 1024;

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

Result<wire::Processes> ListProcesses() {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return sys::ErrnoError(errno, "open", "/proc");
  wire::Processes found;
  std::size_t bytes = 0;
  int seen = 0;
  while (const dirent* entry = ::readdir(proc.get())) {
    const auto pid = ParseInt(entry->d_name);
    wire::Process process;
    found.truncated = ++seen > kMaxEntries;
    if (found.truncated) break;
    if (!pid || *pid < 1) continue;
    process.pid = *pid;
    const sys::UniqueFd directory(
        ::openat(::dirfd(proc.get()), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() || !ReadProcess(directory.get(), process)) continue;
    bytes += ToCbor(FieldsToJson(wire::kProcess, &process)).size();
    found.truncated = found.processes.size() == wire::kMaxProcesses || bytes > kMaxListBytes;
    if (found.truncated) break;
    found.processes.push_back(std::move(process));
  }
  return found;
}

}  // namespace

struct Answers::Shared {
  struct Waiting {
    std::uint32_t channel;
    const Answerer* answerer;
  };

  // Answers until none waits.
  void Work() {
    std::unique_lock lock(mutex);
    while (!waiting.empty()) {
      const Waiting next = waiting.front();
      waiting.pop_front();
      lock.unlock();
      auto frame = next.answerer->answer(next.channel);
      if (frame && frame->payload.size() > wire::kMaxMessageBytes) {
        frame = MakeError(ErrorCode::kLimit, "the answer is too long");
      }
      lock.lock();
      done.push_back(frame ? std::move(*frame) : wire::ErrorFrame(next.channel, frame.error()));
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

Status Answers::Ask(std::uint32_t channel, const wire::Ask& ask) {
  const auto known =
      std::find_if(shared_->answerers.begin(), shared_->answerers.end(),
                   [&](const Answerer& one) { return one.question == ask.question; });
  if (known == shared_->answerers.end()) {
    return MakeError(ErrorCode::kNotFound, "the guest's agent does not know this question");
  }
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting.size() >= kMaxWaiting) {
    return MakeError(ErrorCode::kLimit, fmt::format("{} questions wait already", kMaxWaiting));
  }
  shared_->waiting.push_back({channel, &*known});
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

std::vector<Answerer> GuestAnswerers() { return {Answering<&ListProcesses>()}; }

}  // namespace pyro::agent
