// For tests of db/: a place for a database, and children that are killed while they use it.

#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <system_error>

#include "base/check.h"

namespace pyro::db {

class TestFile {
 public:
  TestFile() {
    std::string name = std::filesystem::temp_directory_path() / "pyro-db-XXXXXX";
    PYRO_CHECK(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
  }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;
  ~TestFile() {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }

  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path path() const { return directory_ / "test.db"; }

 private:
  std::filesystem::path directory_;
};

// A child that runs `body` and exits with what it returns.
inline pid_t Fork(const std::function<int()>& body) {
  const pid_t pid = fork();
  PYRO_CHECK(pid >= 0);
  if (pid == 0) _exit(body());
  return pid;
}

// Its exit code, or minus the signal that ended it.
inline int Reap(pid_t pid) {
  int status = 0;
  PYRO_CHECK(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// A pipe whose ends are closed with it.
struct TestPipe {
  TestPipe() { PYRO_CHECK(pipe2(fds, O_CLOEXEC) == 0); }
  TestPipe(const TestPipe&) = delete;
  TestPipe& operator=(const TestPipe&) = delete;
  ~TestPipe() {
    CloseRead();
    CloseWrite();
  }
  void CloseRead() { Close(fds[0]); }
  void CloseWrite() { Close(fds[1]); }
  bool Tell() const { return write(fds[1], "x", 1) == 1; }
  // False at end of file.
  bool Await() const {
    char byte = 0;
    return read(fds[0], &byte, 1) == 1;
  }

  int fds[2] = {-1, -1};

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};

}  // namespace pyro::db
