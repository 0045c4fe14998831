#include "agent/console.h"

#include <unistd.h>

#include <string>

namespace pyro::agent {

void ConsoleLine(std::string_view text) {
  std::string line = "pyro-agent: ";
  line += text;
  line += '\n';
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace pyro::agent
