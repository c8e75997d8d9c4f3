#include "services/builder/image/containerfile.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace riseml::builder {
namespace {

// Caches by the directory in which tools look for them as root.
struct Cache {
  absl::string_view name, directory;
};
constexpr Cache kCaches[] = {{"home", "/root/.cache"},
                             {"conda", "/root/.conda-packages"},
                             {"apt", "/var/cache/apt"},
                             {"apt-lists", "/var/lib/apt/lists"}};

std::string Mounts(const ImageBuild& build) {
  std::string text;
  for (const Cache& cache : kCaches)
    absl::StrAppend(&text, "--mount=type=cache,id=", build.cache, "-", cache.name, ",target=", cache.directory, " ");
  for (const std::string& name : build.secrets)
    absl::StrAppend(&text, "--mount=type=secret,id=", name, ",target=/run/secrets/", name, " ");
  return text;
}

// Runs a script by the shell that run commands have: it stops at the first line that fails.
constexpr char kShell[] =
    "if command -v bash > /dev/null; then exec bash -eo pipefail -c \"$1\" \"$0\"; fi; exec /bin/sh -e -c \"$1\" "
    "\"$0\"";

// Text for the shell around a step. The parts are joined by newlines, since a step may end in a comment.
std::string ScriptOf(const ImageBuild& build, std::size_t step) {
  std::vector<std::string> lines = {
      absl::StrCat("[ ! -r ", kBuildSettings, "/variables ] || . ", kBuildSettings, "/variables")};
  if (step > 0)
    lines.push_back(absl::StrCat(". ", kBuildState, "/variables && cd \"$(cat ", kBuildState, "/directory)\" || exit"));
  for (const std::string& name : build.secrets)
    lines.push_back(absl::StrCat(name, "=\"$(cat /run/secrets/", name, ")\" && export ", name, " || exit"));
  if (step + 1 < build.steps.size()) {
    lines.push_back(absl::StrCat("trap 'riseml_status=$?; unset ", absl::StrJoin(build.secrets, " "), " $(cat ",
                                 kBuildSettings, "/names 2>/dev/null); mkdir -p ", kBuildState, " && export -p >",
                                 kBuildState, "/variables && pwd >", kBuildState,
                                 "/directory; exit $riseml_status' EXIT"));
  }
  lines.push_back(build.steps[step]);
  return absl::StrJoin(lines, "\n");
}

}  // namespace

std::string ContainerfileOf(const ImageBuild& build) {
  std::string text = absl::StrCat("FROM ", build.base, "\nWORKDIR /code\nCOPY . /code/\n");
  const std::string mounts = Mounts(build);
  // As JSON a step is one line, whatever it contains, and buildah replaces nothing in it.
  for (std::size_t i = 0; i < build.steps.size(); ++i)
    absl::StrAppend(&text, "RUN ", mounts, nlohmann::json({"/bin/sh", "-c", kShell, "step", ScriptOf(build, i)}).dump(),
                    "\n");
  if (build.removes_passing) {
    const std::string script =
        absl::StrCat("while IFS= read -r path; do rm -f \"/code/$path\"; done < ", kBuildSettings, "/passing");
    absl::StrAppend(&text, "RUN ", nlohmann::json({"/bin/sh", "-c", script}).dump(), "\n");
  }
  return text;
}

}  // namespace riseml::builder
