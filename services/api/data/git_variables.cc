#include "services/api/data/git_variables.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace riseml::api {
namespace {

// The version in a tag: "1.0rc1" for "v1.0-rc1"; empty if the tag is no version.
std::string VersionOfTag(absl::string_view tag) {
  const std::size_t digit = tag.find_first_of("0123456789");
  if (digit == tag.npos) return "";
  for (const char c : tag.substr(0, digit))
    if (!absl::ascii_isalpha(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '/') return "";
  std::string version;
  for (const char c : tag.substr(digit)) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.')
      version += absl::ascii_tolower(c);
    else if (c != '-' && c != '_')
      return "";
  }
  return version;
}

// "MY_PKG" for "my.pkg", as in the names of setuptools-scm's variables.
std::string VariablePart(absl::string_view package) {
  std::string out;
  for (const char c : package) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)))
      out += absl::ascii_toupper(c);
    else if (out.empty() || out.back() != '_')
      out += '_';
  }
  return out;
}

}  // namespace

std::string VersionOf(const v1::GitState& git) {
  absl::string_view rest = git.describe();
  absl::ConsumeSuffix(&rest, "-dirty");
  const std::string hash = absl::StrCat("g", git.commit().substr(0, 7));
  const std::string changes = git.dirty() ? ".dirty" : "";
  const std::size_t mark = rest.rfind("-g");
  const std::size_t count = mark == rest.npos ? rest.npos : rest.rfind('-', mark - 1);
  const std::string version = count == rest.npos ? "" : VersionOfTag(rest.substr(0, count));
  if (version.empty()) return absl::StrCat("0.0+", hash, changes);
  const absl::string_view since = rest.substr(count + 1, mark - count - 1);
  if (since == "0") return git.dirty() ? absl::StrCat(version, "+", hash, changes) : version;
  return absl::StrCat(version, ".post", since, "+", hash, changes);
}

std::map<std::string, std::string> GitVariables(const v1::GitState& git) {
  if (git.commit().empty()) return {};
  const std::string version = VersionOf(git);
  const std::string scm = "SETUPTOOLS_SCM_PRETEND_VERSION";
  return {{"RISEML_GIT_COMMIT", git.commit()},
          {"RISEML_GIT_BRANCH", git.branch()},
          {"RISEML_GIT_DESCRIBE", git.describe()},
          {"RISEML_GIT_DIRTY", git.dirty() ? "1" : "0"},
          // The general form would also set the version of dependencies that are built from source.
          {git.package().empty() ? scm : absl::StrCat(scm, "_FOR_", VariablePart(git.package())), version},
          {"PBR_VERSION", version},
          {"POETRY_DYNAMIC_VERSIONING_BYPASS", version}};
}

}  // namespace riseml::api
