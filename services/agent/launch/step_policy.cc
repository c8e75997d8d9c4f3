#include "services/agent/launch/step_policy.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/agent/launch/sandbox.h"
#include "services/agent/run/kept_steps.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDefaultKeptStepsLimit = std::int64_t{20} << 30;
constexpr absl::Duration kMaxAge = absl::Hours(7 * 24);
constexpr absl::Duration kLeastTime = absl::Seconds(5);  // running shorter steps again is faster than copying

std::string KeptStepsOf(const std::string& work_directory) { return absl::StrCat(work_directory, "/", kKeptStepsName); }

}  // namespace

StepPolicy::StepPolicy(const config::v1::NodeConfig& config)
    : environments_dir_(config.environments_dir()),
      bytes_limit_(config.kept_steps_bytes_limit() == 0 ? kDefaultKeptStepsLimit : config.kept_steps_bytes_limit()) {}

std::optional<internal::v1::StepReuse> StepPolicy::PlanFor(const internal::v1::StartAttemptRequest& start,
                                                           const std::string& work_directory,
                                                           const std::string& temporary) const {
  // A job that rebuilds a missing environment for itself has its own variables and secrets, so its steps are not kept.
  const bool build = start.role() == "build" && start.template_().secrets().empty();
  const fs::path environment = start.environment_path();
  if (!build || bytes_limit_ < 0 || work_directory.empty() || !IsPathBelow(environment.string(), work_directory) ||
      !IsStepKey(environment.filename().string()))
    return std::nullopt;
  internal::v1::StepReuse reuse;
  reuse.set_directory(KeptStepsOf(work_directory));
  reuse.set_environment(environment.string());
  reuse.set_temporary(temporary);
  reuse.set_bytes_limit(bytes_limit_);
  *reuse.mutable_max_age() = ToProtoDuration(kMaxAge);
  *reuse.mutable_least_time() = ToProtoDuration(kLeastTime);
  return reuse;
}

void StepPolicy::Trim(const std::string& work_directory, absl::Time now) const {
  if (work_directory.empty()) return;
  const KeptLimits limits{.bytes = std::max<std::int64_t>(bytes_limit_, 0), .age = kMaxAge};
  if (const absl::Status trimmed = TrimKeptSteps(KeptStepsOf(work_directory), limits, now); !trimmed.ok())
    LogWarning("kept_steps_not_trimmed", {{"path", work_directory}, {"error", std::string(trimmed.message())}});
}

void StepPolicy::TrimAll(absl::Time now) const {
  if (environments_dir_.empty()) return;
  std::error_code error;
  for (fs::directory_iterator it(environments_dir_, error), end; !error && it != end; it.increment(error))
    if (IsUuid(it->path().filename().string())) Trim(absl::StrCat(it->path().string(), "/", kWorkName), now);
}

}  // namespace riseml::agent
