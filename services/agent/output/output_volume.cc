#include "services/agent/output/output_volume.h"

#include <fcntl.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "services/agent/output/output_size.h"
#include "services/common/archive/unpack.h"
#include "services/common/base/files/beneath.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kConfigCopy[] = "riseml-experiment.yml";

// Adds the environment, which is known only when the job starts, not when its configuration was copied.
std::string ConfigCopy(const internal::v1::StartAttemptRequest& start) {
  const std::string& key = start.environment_key();
  return absl::StrCat(key.empty() ? "" : absl::StrCat("# Environment: ", key, "\n"), start.template_().config_copy());
}

// Returns 0 bytes for a missing directory.
absl::StatusOr<AllocatedSize> SizeBeneath(int volume, const std::string& below, const std::stop_token& stop) {
  const fs::path path(below);
  absl::StatusOr<UniqueFd> parent = OpenBeneath(volume, path.parent_path().string(), O_RDONLY | O_DIRECTORY);
  if (HasReason(parent.status(), Reason::kNotFound)) return AllocatedSize();
  RISEML_RETURN_IF_ERROR(parent.status());
  return MeasureAllocated(*std::move(parent), path.filename().string(), stop);
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

absl::StatusOr<internal::v1::OutputSize> OutputVolume::Measure(const internal::v1::JobTemplate& job,
                                                               const std::stop_token& stop) const {
  internal::v1::OutputSize size;
  if (job.output_subpath().empty()) return size;
  RISEML_ASSIGN_OR_RETURN(const UniqueFd volume, OpenFile(directory_, O_PATH | O_DIRECTORY));
  RISEML_ASSIGN_OR_RETURN(const AllocatedSize own, SizeBeneath(volume.get(), job.output_subpath(), stop));
  AllocatedSize shared;
  if (!job.shared_subpath().empty()) {
    RISEML_ASSIGN_OR_RETURN(shared, SizeBeneath(volume.get(), job.shared_subpath(), stop));
  }
  size.set_bytes(own.bytes);
  size.set_shared_bytes(shared.bytes);
  size.set_at_least(own.at_least || shared.at_least);
  return size;
}

}  // namespace riseml::agent
