// A guest that ends with the call which needs it: it reads a disk or an environment, or fills a
// disk.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "engine/context.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro::engine {

// What it is made of. A value.
struct ReaderWish {
  std::string environment;
  std::string digest;   // Of the environment's version, which is installed.
  std::string machine;  // As InstanceSpec::machine.
  std::int64_t mem_mib = 1024;
  std::function<Status(const std::filesystem::path& disk)> fill;  // Makes its disk there.
};

// A VM whose owner is this process. Its guest may not be ready yet: commands wait for it.
class ReaderGuest {
 public:
  // On failure nothing is left. Errors: those of `fill`, and as StartGuest.
  static Result<ReaderGuest> Start(const Context& context, const ReaderWish& wish,
                                   const CallIo& io);

  SupervisorLink& link() { return link_; }
  // Its disk on the host, for as long as it runs.
  const std::filesystem::path& disk() const { return disk_; }

  // Ends it; without this call it ends with the link.
  void Remove();

 private:
  ReaderGuest(SupervisorLink link, std::filesystem::path disk)
      : link_(std::move(link)), disk_(std::move(disk)) {}

  SupervisorLink link_;
  std::filesystem::path disk_;
};

}  // namespace pyro::engine
