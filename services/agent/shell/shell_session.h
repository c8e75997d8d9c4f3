// The shell that runs the items of an attempt: its files and pipes, its start, what it reports.
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

// A program as shells of this machine are chosen: `wanted`, or bash where there is one, or sh.
std::string ChooseShell(const std::string& wanted);

// Thread-compatible.
class ShellSession {
 public:
  // Writes the items into `directory`, which is made when absent.
  static absl::StatusOr<std::unique_ptr<ShellSession>> Create(const std::string& directory, const std::string& shell,
                                                              const std::vector<std::string>& items);

  // Writes the driver that begins with item `first`. Returns the command line of its shell.
  absl::StatusOr<std::vector<std::string>> CommandLine(int first) const;

  // Readable when something was reported.
  int fd() const { return reports_.get(); }
  std::vector<ShellReport> TakeReports();
  // Lets the shell begin the item it has asked for.
  absl::Status Answer(int number) const;

  // The line of an item that the shell cannot parse; 0 when it parses them all. Runs the shell, which only reads.
  int LineOfBadSyntax(int number) const;

 private:
  ShellSession(std::string directory, std::string shell, int items)
      : directory_(std::move(directory)), shell_(std::move(shell)), items_(items) {}

  const std::string directory_;
  const std::string shell_;
  const int items_;
  UniqueFd reports_, next_;
  std::string received_;  // of a line that is not complete
};

}  // namespace riseml::agent
