#include "services/builder/resolver.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/builder/files.h"
#include "services/builder/plan.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

using internal::v1::Environment;
using internal::v1::ResolveEnvironmentRequest;

constexpr int kMaxSteps = 1000;
constexpr std::size_t kMaxStepBytes = 64 << 10;
constexpr std::size_t kMaxPaths = 1000;

bool IsVersion(absl::string_view text) {
  return text.size() <= 64 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '+' || c == '-' || c == '!' || c == '_' || c == '*';
         });
}

absl::Status Check(const ResolveEnvironmentRequest& request) {
  const auto refuse = [](absl::string_view why) { return Error(Reason::kInvalidArgument, why); };
  if (!IsUuid(request.owner_uid())) return refuse("owner_uid must be a UUID");
  if (!request.framework().empty() && request.framework() != "tensorflow")
    return refuse(absl::StrCat("framework must be tensorflow or empty, not ", request.framework()));
  if (!IsVersion(request.framework_version()))
    return refuse(absl::StrCat("framework_version is not a version: ", request.framework_version()));
  if (request.install_size() > kMaxSteps) return refuse(absl::StrCat("at most ", kMaxSteps, " install steps"));
  for (const std::string& step : request.install())
    if (step.size() > kMaxStepBytes)
      return refuse(absl::StrCat("an install step has at most ", kMaxStepBytes, " bytes"));
  if (request.install_size() > 0 && (!IsUuid(request.project_uid()) || !IsHexId(request.commit())))
    return refuse("install steps need project_uid, a UUID, and commit, 40 hex digits");
  return absl::OkStatus();
}

// Fills what the install steps read.
absl::Status AddFiles(const ResolveEnvironmentRequest& request, CodeFiles& files, Inputs* inputs) {
  std::set<std::string> paths, directories;
  bool whole_tree = false;
  for (const std::string& step : inputs->install) {
    const NamedFiles named = FilesOf(step);
    paths.insert(named.paths.begin(), named.paths.end());
    directories.insert(named.paths_or_directories.begin(), named.paths_or_directories.end());
    whole_tree |= named.whole_tree;
  }
  whole_tree |= paths.size() > kMaxPaths;
  if (!whole_tree && !paths.empty()) {
    RISEML_ASSIGN_OR_RETURN(inputs->file_ids, files.Ids(request.project_uid(), request.commit(),
                                                        std::vector<std::string>(paths.begin(), paths.end())));
    whole_tree = std::ranges::any_of(directories, [&](const std::string& p) { return !inputs->file_ids.contains(p); });
  }
  if (whole_tree) {
    inputs->file_ids.clear();
    inputs->commit = request.commit();
  }
  return absl::OkStatus();
}

bool IsComplete(const std::string& path, absl::string_view key) {
  const auto marker = ReadFile(absl::StrCat(path, "/", kMarkerName), 4096);
  return marker.ok() && *marker == MarkerOf(key);
}

}  // namespace

absl::StatusOr<Environment> Resolver::Resolve(const ResolveEnvironmentRequest& request) {
  RISEML_RETURN_IF_ERROR(Check(request));
  Inputs inputs;
  inputs.owner_uid = request.owner_uid();
  inputs.install.assign(request.install().begin(), request.install().end());
  inputs.framework = request.framework();
  if (request.framework_version() != "latest") inputs.framework_version = request.framework_version();
  Environment environment;
  if (!NeedsEnvironment(inputs)) {
    environment.set_state(Environment::NOT_NEEDED);
    return environment;
  }
  RISEML_ASSIGN_OR_RETURN(inputs.python_version, installation_.python_version);
  inputs.python = installation_.python;
  inputs.client_dir = installation_.client_dir;
  inputs.client_digest = installation_.client_digest;
  RISEML_RETURN_IF_ERROR(AddFiles(request, files_, &inputs));

  environment.set_key(KeyOf(inputs));
  // Below the directory of the user, whose cache lies there too: files can be linked from one to the other.
  environment.set_path(absl::StrCat(installation_.environments_dir, "/", request.owner_uid(), "/", environment.key()));
  if (IsComplete(environment.path(), environment.key())) {
    environment.set_state(Environment::READY);
    return environment;
  }
  environment.set_state(Environment::MISSING);
  for (Step& step : StepsOf(inputs, environment.key(), environment.path())) {
    internal::v1::BuildStep* added = environment.add_steps();
    added->set_title(std::move(step.title));
    added->set_command(std::move(step.command));
  }
  return environment;
}

}  // namespace riseml::builder
