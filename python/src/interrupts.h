// Ctrl-C for calls in threads that Python runs no signal handlers in.
//
// Python raises KeyboardInterrupt in the main thread alone; a call that another thread makes would
// hold the program until the call's own end. While such calls are under way, SIGINT also makes a
// descriptor readable that they are cancelled by, and then goes to the handler it had before.

#pragma once

namespace pyro::python {

// One call that SIGINT cancels. Made and destroyed with the GIL held; the disposition of SIGINT is
// as it was once the last of them is gone. Where the program ignores SIGINT, or handles it itself,
// nothing is changed and the descriptor never becomes readable.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  // Readable after SIGINT. Borrowed, shared by the calls under way; -1: cannot be interrupted.
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace pyro::python
