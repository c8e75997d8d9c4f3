// Shell that runs the items of an attempt: its files, pipes, command line and reports.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/agent/shell/shell_driver.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

// Chooses the shell on this machine: `wanted` if not empty, else bash if it is installed, else sh.
std::string ChooseShell(const std::string& wanted);

// Thread-compatible.
class ShellSession {
 public:
  // Writes the items into `directory`, which is created if absent.
  static absl::StatusOr<std::unique_ptr<ShellSession>> Create(const std::string& directory, const std::string& shell,
                                                              const std::vector<std::string>& items);

  // Writes the driver that begins with item `first`. Returns the command line of its shell.
  absl::StatusOr<std::vector<std::string>> CommandLine(int first) const;

  // Descriptor that is readable when the shell has reported something.
  int fd() const { return reports_.get(); }
  std::vector<ShellReport> TakeReports();
  // Lets the shell begin the item that it has asked for.
  absl::Status Answer(int number) const;

  // Returns the line of an item that the shell cannot parse; 0 if it can parse all. Runs the shell, which only parses
  // the item.
  int LineOfBadSyntax(int number) const;

 private:
  ShellSession(std::string directory, std::string shell, int items)
      : directory_(std::move(directory)), shell_(std::move(shell)), items_(items) {}

  const std::string directory_;
  const std::string shell_;
  const int items_;
  UniqueFd reports_, next_;
  std::string received_;  // start of an incomplete line
};

}  // namespace riseml::agent
