#include "services/agent/launch/job_tools.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/agent/shell/shell_driver.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return ErrnoError(errno, absl::StrCat("mkdir ", path));
  return absl::OkStatus();
}

}  // namespace

absl::Status PlaceInterpreter(const std::string& control, const std::string& home, const std::string& python,
                              const std::string& python_client) {
  const std::string bin = control + "/bin";
  RISEML_RETURN_IF_ERROR(MakeDirectory(bin));
  for (const char* name : {"/python", "/python3"})
    if (symlink(python.c_str(), (bin + name).c_str()) != 0 && errno != EEXIST)
      return ErrnoError(errno, absl::StrCat("make the link ", bin, name));
  std::error_code error;
  const std::string version = fs::canonical(python, error).filename().string();
  if (python_client.empty() || !absl::StartsWith(version, "python3.")) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(WriteFileQuickly(
      control + "/pyvenv.cfg",
      absl::StrCat("home = ", fs::path(python).parent_path().string(), "\ninclude-system-site-packages = true\n")));
  std::vector<std::string> bases = {control};
  if (!home.empty()) bases.push_back(home + "/.local");
  for (const std::string& base : bases) {
    const std::string site = absl::StrCat(base, "/lib/", version, "/site-packages");
    RISEML_RETURN_IF_ERROR(MakeDirectories(site));
    RISEML_RETURN_IF_ERROR(WriteFileQuickly(site + "/riseml.pth", python_client + "\n"));
  }
  return absl::OkStatus();
}

absl::Status PlaceJobTools(const std::string& control, const std::string& job) {
  const std::string directory = absl::StrCat(control, "/", kToolsDirectory);
  RISEML_RETURN_IF_ERROR(MakeDirectory(directory));
  return WriteFileQuickly(directory + "/riseml-report",
                          absl::StrCat("#!/bin/sh\n"
                                       "exec ",
                                       QuoteForShell(job), " report \"$@\"\n"),
                          0755);
}

}  // namespace riseml::agent
