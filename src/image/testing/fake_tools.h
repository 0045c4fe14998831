// Shell scripts that stand for mmdebstrap, apt and the rest.

#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "image/tools.h"

namespace pyro::image {

class FakeTools {
 public:
  explicit FakeTools(const std::filesystem::path& directory)
      : directory_(directory / "fake-tools") {
    std::filesystem::create_directory(directory_);
  }

  // `body` is what /bin/sh runs; it replaces an earlier one.
  void Add(std::string_view name, std::string_view body) {
    const auto file = directory_ / name;
    std::ofstream(file) << "#!/bin/sh\n" << body << "\n";
    ::chmod(file.c_str(), 0755);
  }

  void Remove(std::string_view name) { std::filesystem::remove(directory_ / name); }

  ToolPaths paths() const { return {{directory_}}; }

 private:
  std::filesystem::path directory_;
};

}  // namespace pyro::image
