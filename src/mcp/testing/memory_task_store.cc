#include "mcp/testing/memory_task_store.h"

#include <utility>

#include "mcp/protocol/base64.h"
#include "mcp/protocol/input_request.h"
#include "sys/random.h"

namespace pyro::mcp::testing {
namespace {

constexpr std::int64_t kTtlMs = 300'000;
constexpr std::int64_t kPollMs = 100;

bool Ended(TaskStatus status) {
  return status != TaskStatus::kWorking && status != TaskStatus::kInputRequired;
}

}  // namespace

class MemoryTaskStore::Task final : public Running {
 public:
  Task(std::string principal, std::function<void(const TaskState&)> changed)
      : principal_(std::move(principal)), changed_(std::move(changed)) {
    state_.id = EncodeBase64Url(sys::RandomBytes(18));
    state_.created_at = state_.updated_at = SystemClock().Now();
    state_.ttl_ms = kTtlMs;
    state_.poll_interval_ms = kPollMs;
  }

  const std::string& principal() const { return principal_; }

  TaskState state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }

  bool Sleep(std::chrono::milliseconds time) override {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [&] { return Ended(state_.status); });
  }

  Result<InputAnswers> RequestInput(const InputRequests& requests) override {
    std::unique_lock lock(mutex_);
    if (Ended(state_.status)) return MakeError(ErrorCode::kCancelled, "the task was cancelled");
    state_.input_requests = requests;
    answers_.clear();
    Change(TaskStatus::kInputRequired, lock);
    wake_.wait(lock, [&] { return state_.status != TaskStatus::kInputRequired; });
    if (Ended(state_.status)) return MakeError(ErrorCode::kCancelled, "the task was cancelled");
    return answers_;
  }

  void Answer(const InputAnswers& answers) {
    std::unique_lock lock(mutex_);
    if (state_.status != TaskStatus::kInputRequired) return;
    for (const auto& [name, answer] : answers) {
      const auto request = state_.input_requests.find(name);
      if (request == state_.input_requests.end() || !AnswerFits(request->second, answer)) continue;
      answers_[name] = answer;
      state_.input_requests.erase(request);
    }
    Change(state_.input_requests.empty() ? TaskStatus::kWorking : TaskStatus::kInputRequired, lock);
  }

  void Cancel() {
    std::unique_lock lock(mutex_);
    if (Ended(state_.status)) return;
    state_.input_requests.clear();
    Change(TaskStatus::kCancelled, lock);
  }

  void End(std::variant<ToolResult, TaskFailure> ended) {
    std::unique_lock lock(mutex_);
    if (Ended(state_.status)) return;
    if (auto* failure = std::get_if<TaskFailure>(&ended)) {
      state_.failure = std::move(*failure);
      Change(TaskStatus::kFailed, lock);
      return;
    }
    state_.result = std::make_shared<const ToolResult>(std::get<ToolResult>(std::move(ended)));
    Change(TaskStatus::kCompleted, lock);
  }

 private:
  static bool Ended(TaskStatus status) { return testing::Ended(status); }

  void Change(TaskStatus status, std::unique_lock<std::mutex>& lock) {
    state_.status = status;
    state_.updated_at = SystemClock().Now();
    const TaskState copy = state_;
    wake_.notify_all();
    if (!changed_) return;
    lock.unlock();
    changed_(copy);
    lock.lock();
  }

  const std::string principal_;
  const std::function<void(const TaskState&)> changed_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  TaskState state_;
  InputAnswers answers_;
};

void MemoryTaskStore::Stop() {
  std::vector<std::thread> threads;
  std::map<std::string, std::shared_ptr<Task>> tasks;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(threads_);
    tasks = tasks_;
  }
  for (const auto& [id, task] : tasks) task->Cancel();
  for (std::thread& thread : threads) thread.join();
}

TaskState MemoryTaskStore::Start(const std::string& principal, Body body) {
  const std::lock_guard lock(mutex_);
  auto task = std::make_shared<Task>(principal, changed_);
  TaskState state = task->state();
  tasks_.emplace(state.id, task);
  threads_.emplace_back([task, body = std::move(body)] { task->End(body(*task)); });
  return state;
}

void MemoryTaskStore::SetListener(std::function<void(const TaskState&)> changed) {
  const std::lock_guard lock(mutex_);
  changed_ = std::move(changed);
}

Result<std::shared_ptr<MemoryTaskStore::Task>> MemoryTaskStore::Find(const std::string& task_id,
                                                                     const std::string& principal) {
  const std::lock_guard lock(mutex_);
  const auto it = tasks_.find(task_id);
  if (it == tasks_.end() || it->second->principal() != principal) {
    return MakeError(ErrorCode::kNotFound, "Task not found");
  }
  return it->second;
}

Result<TaskState> MemoryTaskStore::Get(const std::string& task_id, const std::string& principal) {
  const auto task = Find(task_id, principal);
  if (!task) return task.error();
  return (*task)->state();
}

Status MemoryTaskStore::Cancel(const std::string& task_id, const std::string& principal) {
  const auto task = Find(task_id, principal);
  if (!task) return task.error();
  (*task)->Cancel();
  return OkStatus();
}

Status MemoryTaskStore::Answer(const std::string& task_id, const std::string& principal,
                               const InputAnswers& answers) {
  const auto task = Find(task_id, principal);
  if (!task) return task.error();
  (*task)->Answer(answers);
  return OkStatus();
}

}  // namespace pyro::mcp::testing
