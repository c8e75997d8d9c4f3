#include "services/gitsync/testing/test_directory.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace riseml::gitsync {
namespace fs = std::filesystem;
namespace {

timespec ChangeTime(const fs::path& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_ctim : timespec{};
}

bool SameTime(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

}  // namespace

TestDirectory::TestDirectory() {
  std::string pattern = (fs::temp_directory_path() / "riseml-sync-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void TestDirectory::Write(absl::string_view name, absl::string_view content, bool executable) const {
  const fs::path path = File(name);
  fs::create_directories(path.parent_path());
  const timespec before = ChangeTime(path);
  do {
    std::ofstream(path, std::ios::binary) << content;
    fs::permissions(path, fs::perms::owner_exec, executable ? fs::perm_options::add : fs::perm_options::remove);
  } while (SameTime(before, ChangeTime(path)));
}

void TestDirectory::Link(absl::string_view name, absl::string_view target) const {
  const fs::path path = File(name);
  fs::create_directories(path.parent_path());
  fs::create_symlink(std::string(target), path);
}

void TestDirectory::Remove(absl::string_view name) const { fs::remove_all(File(name)); }

CommandResult RunShell(const std::string& command) {
  const std::string line = absl::StrCat(
      "(export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory "
      "GIT_CONFIG_VALUE_0='*' LC_ALL=C; ",
      command, ") 2>&1");
  FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  CommandResult result;
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) result.output.append(buffer, n);
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

}  // namespace riseml::gitsync
