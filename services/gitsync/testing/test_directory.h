// A temporary directory and commands run in it, for tests.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::gitsync {

// Removed with all it holds when this goes.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  const std::string& path() const { return path_; }
  std::string File(absl::string_view name) const { return path_ + "/" + std::string(name); }

  // Writes a file below the directory and makes the directories it needs. A file that was there has another change time
  // afterwards: the kernel's time moves in steps of milliseconds.
  void Write(absl::string_view name, absl::string_view content, bool executable = false) const;
  // Makes a symbolic link.
  void Link(absl::string_view name, absl::string_view target) const;
  void Remove(absl::string_view name) const;

 private:
  std::string path_;
};

struct CommandResult {
  int exit_code = 0;
  std::string output;  // stdout and stderr
};

// Runs a shell command with git's configuration of the machine and the user switched off.
CommandResult RunShell(const std::string& command);

}  // namespace riseml::gitsync
