#include "services/agent/launch/container_variables.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/launch/build_root.h"
#include "services/agent/launch/job_tools.h"
#include "services/agent/launch/sandbox.h"

namespace riseml::agent {
namespace {

constexpr absl::string_view kPathWithoutImage = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string ValueOr(const Variables& variables, const std::string& name, absl::string_view otherwise) {
  const auto found = variables.find(name);
  return found == variables.end() || found->second.empty() ? std::string(otherwise) : found->second;
}

// Adds a directory to a list of directories that may be set already.
std::string WithDirectory(const std::string& list, const std::string& directory) {
  if (list.empty() || directory.empty()) return absl::StrCat(list, directory);
  const std::vector<absl::string_view> parts = absl::StrSplit(list, ':');
  for (const absl::string_view part : parts)
    if (part == directory) return list;
  return absl::StrCat(list, ":", directory);
}

// An image may not have the locale of the machine; programs then complain.
bool IsLocale(absl::string_view name) { return name == "LANG" || absl::StartsWith(name, "LC_"); }

}  // namespace

Variables ContainerVariables(const internal::v1::StartAttemptRequest& start, const JobPaths& paths,
                             const JobPorts& ports, const Variables& node, const Variables& image) {
  Variables settings;
  for (const auto& [name, value] : node)
    if (PathsIn(value).empty() && !IsLocale(name)) settings[name] = value;
  for (const auto& [name, value] : image) settings[name] = value;
  JobPaths without_client = paths;
  without_client.python_client.clear();
  Variables out = JobVariables(start, without_client, ports, settings);
  out["PATH"] = absl::StrCat(ValueOr(image, "PATH", kPathWithoutImage), ":", out["HOME"], "/.local/bin:", paths.control,
                             "/", kToolsDirectory);
  out.insert(image.begin(), image.end());
  if (!paths.python_client.empty()) out["PYTHONPATH"] = WithDirectory(out["PYTHONPATH"], paths.python_client);
  return out;
}

Variables BuildahVariables(const std::string& settings) {
  return {{"BUILDAH_ISOLATION", "chroot"},
          {"CONTAINERS_CONF", settings + "/containers.conf"},
          {"CONTAINERS_REGISTRIES_CONF", settings + "/registries.conf"},
          {"CONTAINERS_STORAGE_CONF", settings + "/storage.conf"},
          {"RISEML_CODE", kSandboxCode},
          {"RISEML_LAYERS", kBuildLayers}};
}

}  // namespace riseml::agent
