#include "services/common/base/python_versions.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace riseml {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFound = 20;

absl::string_view Digits(absl::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[count]))) ++count;
  return text.substr(0, count);
}

}  // namespace

std::string PythonOfImage(absl::string_view image) {
  const std::size_t slash = image.rfind('/');
  if (slash != absl::string_view::npos) image.remove_prefix(slash + 1);
  if (!absl::ConsumePrefix(&image, "python:")) return "";
  const absl::string_view major = Digits(image);
  image.remove_prefix(major.size());
  if (major.empty() || !absl::ConsumePrefix(&image, ".")) return "";
  const absl::string_view minor = Digits(image);
  return minor.empty() ? "" : absl::StrCat(major, ".", minor);
}

std::vector<std::string> FindPython(const std::string& version, const std::vector<std::string>& directories) {
  std::vector<std::string> found;
  const std::string name = absl::StrCat("python", version);
  const auto add = [&](const std::string& path) {
    std::error_code error;
    const bool usable = fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
    if (usable && found.size() < kMaxFound && std::ranges::find(found, path) == found.end()) found.push_back(path);
  };
  for (const char* directory : {"/usr/local/bin/", "/usr/bin/"}) add(directory + name);
  for (const std::string& directory : directories) {
    // The programs there ask pyenv which interpreter is meant, and work only where pyenv is set up.
    if (!absl::EndsWith(directory, "/shims")) add(absl::StrCat(directory, "/", name));
    std::vector<std::string> versions;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
      const std::string entry = it->path().filename().string();
      absl::string_view rest = entry;
      absl::ConsumePrefix(&rest, "cpython-");
      if (absl::ConsumePrefix(&rest, version) && (rest.empty() || rest[0] == '.' || rest[0] == '-'))
        versions.push_back(it->path().string());
    }
    std::ranges::sort(versions, std::greater<>());
    for (const std::string& path : versions) add(absl::StrCat(path, "/bin/", name));
  }
  return found;
}

std::string PythonPrefix(const std::string& python) {
  std::error_code error;
  const fs::path real = fs::canonical(python, error);
  if (error || absl::StartsWith(real.string(), "/usr/")) return "";
  return real.parent_path().parent_path().string();
}

}  // namespace riseml
