#include "call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "interrupts.h"

namespace pyro::python {
namespace {

namespace py = pybind11;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "pyro");
  }
  ~Fd() { ::close(fd_); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class Event {
 public:
  Event() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  int fd() const { return fd_.get(); }
  void Set() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(fd_.get(), &one, sizeof one);
  }
  void Clear() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(fd_.get(), &count, sizeof count);
  }

 private:
  Fd fd_;
};

// Where Python runs the handlers of signals: the descriptor becomes readable when one is due. What
// was there before, such as an event loop's, is told of the same signals afterwards.
class Wakeup {
 public:
  Wakeup() : set_(py::module_::import("signal").attr("set_wakeup_fd")) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe");
    }
    read_ = fds[0];
    write_ = fds[1];
    previous_ = set_(write_, py::arg("warn_on_full_buffer") = false).cast<int>();
  }

  ~Wakeup() {
    Drain();
    try {
      const int found = set_(previous_).cast<int>();
      if (found != write_) set_(found);  // A handler has set another, which stays.
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("pyro_mcp");
    }
    if (previous_ >= 0 && !seen_.empty()) {
      [[maybe_unused]] const ssize_t n = ::write(previous_, seen_.data(), seen_.size());
    }
    ::close(read_);
    ::close(write_);
  }
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  int fd() const { return read_; }

  void Drain() {
    std::array<char, 256> numbers;
    for (ssize_t n; (n = ::read(read_, numbers.data(), numbers.size())) > 0;) {
      if (seen_.size() < 4096) seen_.append(numbers.data(), static_cast<std::size_t>(n));
    }
  }

 private:
  py::object set_;
  int read_ = -1;
  int write_ = -1;
  int previous_ = -1;
  std::string seen_;  // The numbers of the signals.
};

// A thread that no signal is delivered to, so that all of them come to where Python expects them.
std::thread StartWithoutSignals(std::function<void()> run) {
  sigset_t all;
  sigset_t own;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &own);
  try {
    std::thread thread(std::move(run));
    ::pthread_sigmask(SIG_SETMASK, &own, nullptr);
    return thread;
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &own, nullptr);
    throw;
  }
}

// A call of the main thread: the engine works on a thread of its own, and the main thread answers
// to signals and callbacks.
class MainThreadCall : public Caller {
 public:
  std::exception_ptr Execute(const std::function<void(int, Caller&)>& work) {
    std::thread engine = StartWithoutSignals([&] {
      work(cancel_.fd(), *this);
      done_.Set();
    });
    Serve();
    {
      py::gil_scoped_release released;
      engine.join();
    }
    return failure_;
  }

  bool Run(const std::function<void()>& what) override {
    std::unique_lock lock(mutex_);
    asked_ = &what;
    answered_ = false;
    request_.Set();
    answer_.wait(lock, [this] { return answered_; });
    return accepted_;
  }

 private:
  void Serve() {
    while (true) {
      // Before each wait: one may have been due already. Once the call is being given up, further
      // signals wait for its end.
      if (!failure_ && PyErr_CheckSignals() != 0) {
        Guard([] { throw py::error_already_set(); });
      }
      std::array<pollfd, 3> polls = {
          {{done_.fd(), POLLIN, 0}, {request_.fd(), POLLIN, 0}, {wakeup_.fd(), POLLIN, 0}}};
      {
        py::gil_scoped_release released;
        ::poll(polls.data(), polls.size(), -1);
      }
      wakeup_.Drain();
      if (polls[1].revents != 0) Answer();
      if (polls[0].revents != 0) return;
    }
  }

  void Answer() {
    request_.Clear();
    const std::function<void()>* what = nullptr;
    {
      const std::lock_guard lock(mutex_);
      what = asked_;
      asked_ = nullptr;
    }
    if (what == nullptr) return;
    const bool accepted = !failure_ && Guard(*what);
    const std::lock_guard lock(mutex_);
    accepted_ = accepted;
    answered_ = true;
    answer_.notify_one();
  }

  bool Guard(const std::function<void()>& what) {
    try {
      what();
      return true;
    } catch (...) {
      failure_ = std::current_exception();
      cancel_.Set();
      return false;
    }
  }

  Wakeup wakeup_;
  Event cancel_;
  Event done_;
  Event request_;
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable answer_;
  const std::function<void()>* asked_ = nullptr;
  bool answered_ = false;
  bool accepted_ = false;
};

// A call of any other thread, which does the work itself.
class ThreadCall : public Caller {
 public:
  std::exception_ptr Execute(const std::function<void(int, Caller&)>& work) {
    const Interruptible interruptible;
    {
      py::gil_scoped_release released;
      work(interruptible.fd(), *this);
    }
    return failure_;
  }

  bool Run(const std::function<void()>& what) override {
    py::gil_scoped_acquire acquired;
    if (failure_) return false;
    try {
      what();
      return true;
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
  }

 private:
  std::exception_ptr failure_;
};

bool IsMainThread() {
  const py::object ident = py::module_::import("threading").attr("main_thread")().attr("ident");
  return !ident.is_none() && ident.cast<unsigned long>() == PyThread_get_thread_ident();
}

}  // namespace

void RunCall(const std::function<void(int, Caller&)>& work, const std::function<void()>& undo) {
  const std::exception_ptr failure =
      IsMainThread() ? MainThreadCall().Execute(work) : ThreadCall().Execute(work);
  if (!failure) return;
  if (undo) {
    py::gil_scoped_release released;
    undo();
  }
  std::rethrow_exception(failure);
}

Result<std::size_t> CallbackSink::Write(OutputStream stream, std::string_view bytes) {
  const int which = stream == OutputStream::kStdout ? 0 : 1;
  kept_[which].Append(bytes);
  const py::handle callback = callbacks_[which];
  if (callback.is_none()) return bytes.size();
  const bool taken = caller_.Run([&] { callback(py::bytes(bytes.data(), bytes.size())); });
  if (!taken) return MakeError(ErrorCode::kCancelled, "cancelled");
  return bytes.size();
}

void CallbackSink::Fill(Json& result) const {
  result["stdout"] = kept_[0].Text();
  result["stderr"] = kept_[1].Text();
  result["stdout_truncated"] = kept_[0].truncated();
  result["stderr_truncated"] = kept_[1].truncated();
}

}  // namespace pyro::python
