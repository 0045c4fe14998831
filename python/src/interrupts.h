// Ctrl-C for calls in threads in which Python runs no signal handlers.
//
// Python raises KeyboardInterrupt only in the main thread; a call of another thread would hold the
// program until its own end. While such calls run, SIGINT also makes a descriptor readable, which
// cancels them. Then it goes to its previous handler.

#pragma once

namespace pyro::python {

// One call that SIGINT cancels. Constructed and destroyed with the GIL held. After the last of them
// the disposition of SIGINT is restored. If the program ignores or handles SIGINT itself, its
// disposition is not changed and the descriptor never becomes readable.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  // Readable after SIGINT. Borrowed, shared by the running calls; -1: cannot be interrupted.
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace pyro::python
