#include "services/agent/run/image_setup.h"

#include <unistd.h>

#include <filesystem>
#include <set>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kImageHome[] = "/root";  // of the account that install steps and jobs have
constexpr char kUsualEnvironment[] = ".venv";

bool IsEnvironment(const fs::path& directory) {
  return FileExists(directory.string() + "/pyvenv.cfg") && FileExists(directory.string() + "/bin/python");
}

// Adds the file to the first directory of packages below the prefix of an installation or a virtual environment.
void WriteBelow(const std::string& prefix, const std::string& version, const std::string& directory) {
  // Debian's own Python has one directory for all versions.
  for (const std::string& packages : {absl::StrCat(version, "/site-packages"), absl::StrCat(version, "/dist-packages"),
                                      std::string("python3/dist-packages")}) {
    const std::string place = absl::StrCat(prefix, "/lib/", packages);
    if (!FileExists(place)) continue;
    const std::string file = place + "/riseml.pth";
    if (FileExists(file)) return;
    if (const absl::Status written = WriteFileQuickly(file, directory + "\n"); !written.ok())
      LogWarning("package_not_shown", {{"path", file}, {"error", std::string(written.message())}});
    return;
  }
}

}  // namespace

void SetUpImage(internal::v1::RunPlan* plan) {
  auto& variables = *plan->mutable_environment();
  ActivateEnvironment(plan->work_dir(), &variables);
  if (variables.contains("HOME")) LinkHome(kImageHome, variables.at("HOME"));
  if (variables.contains("PATH") && !plan->python_client_dir().empty())
    ShowPackageToPythons(variables.at("PATH"), plan->python_client_dir());
}

void ActivateEnvironment(const std::string& work_dir, google::protobuf::Map<std::string, std::string>* variables) {
  if (variables->contains("VIRTUAL_ENV")) return;
  std::vector<std::string> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(work_dir, error)) {
    if (!IsEnvironment(entry.path())) continue;
    if (entry.path().filename() == kUsualEnvironment) found.clear();
    found.push_back(entry.path().string());
    if (entry.path().filename() == kUsualEnvironment) break;
  }
  if (found.size() != 1) return;
  (*variables)["VIRTUAL_ENV"] = found.front();
  std::string& path = (*variables)["PATH"];
  path = absl::StrCat(found.front(), "/bin", path.empty() ? "" : ":", path);
}

void LinkHome(const std::string& image_home, const std::string& home) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(image_home, error)) {
    const std::string name = entry.path().filename().string();
    if (name == ".cache") continue;
    // A name that is there stays.
    [[maybe_unused]] const int made = symlink(entry.path().c_str(), absl::StrCat(home, "/", name).c_str());
  }
}

void ShowPackageToPythons(absl::string_view path, const std::string& directory) {
  std::set<std::string> seen;
  for (const absl::string_view part : absl::StrSplit(path, ':', absl::SkipEmpty())) {
    for (const char* name : {"/python3", "/python"}) {
      const fs::path program = absl::StrCat(part, name);
      std::error_code error;
      const fs::path real = fs::canonical(program, error);
      const std::string version = real.filename().string();
      if (error || !absl::StartsWith(version, "python3.")) continue;
      // In a virtual environment the program is a link to the interpreter that made it.
      for (const fs::path& found : {program, real})
        if (const std::string prefix = found.parent_path().parent_path().string(); seen.insert(prefix).second)
          WriteBelow(prefix, version, directory);
    }
  }
}

}  // namespace riseml::agent
