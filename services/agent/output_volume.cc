#include "services/agent/output_volume.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "services/common/archive/unpack.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kConfigCopy[] = "riseml-experiment.yml";

// The environment is known when the job starts, not when its configuration was written down.
std::string ConfigCopy(const internal::v1::StartAttemptRequest& start) {
  const std::string& key = start.environment_key();
  return absl::StrCat(key.empty() ? "" : absl::StrCat("# Environment: ", key, "\n"), start.template_().config_copy());
}

}  // namespace

std::string OutputVolume::PathOf(const std::string& below) const {
  return below.empty() ? below : absl::StrCat(directory_, "/", below);
}

std::map<std::string, std::string> OutputVolume::InputsOf(const internal::v1::JobTemplate& job) const {
  std::map<std::string, std::string> out;
  for (const auto& [name, below] : job.input_subpaths()) out[name] = PathOf(below);
  return out;
}

absl::Status OutputVolume::CheckInputs(const internal::v1::JobTemplate& job) const {
  for (const auto& [name, path] : InputsOf(job)) {
    std::error_code error;
    if (!fs::is_directory(fs::symlink_status(path, error)))
      return Error(Reason::kNotFound, absl::StrCat("input ", name, " has no output: there is no directory ", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> OutputVolume::Prepare(const internal::v1::StartAttemptRequest& start) const {
  const internal::v1::JobTemplate& job = start.template_();
  if (job.output_subpath().empty()) return std::string();
  RISEML_RETURN_IF_ERROR(MakeDirectories(directory_));
  RISEML_ASSIGN_OR_RETURN(const std::string path, MakeDirectoriesBelow(directory_, job.output_subpath()));
  if (!job.shared_subpath().empty())
    RISEML_RETURN_IF_ERROR(MakeDirectoriesBelow(directory_, job.shared_subpath()).status());
  if (!job.config_copy().empty())
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(path, "/", kConfigCopy), ConfigCopy(start)));
  return path;
}

}  // namespace riseml::agent
