#include "services/scheduler/controller/environment_users.h"

namespace riseml::scheduler {

std::string UserOf(const Shared& shared, const std::string& environment_key, const std::string& uid) {
  for (const std::string& other_uid : shared.jobs.live()) {
    Job& other = *shared.jobs.Find(other_uid);
    if (other_uid == uid || other.Live() == nullptr) continue;
    if (!other.work.has_environment()) continue;
    // An earlier process placed this job: ask again which environment it has. Until the answer arrives, api refuses
    // other jobs that would make the same environment.
    if (other.environment_key.empty()) {
      const auto environment = shared.environments.Resolve(other_uid, other.work);
      if (environment && environment->ok()) other.environment_key = (*environment)->key();
    }
    if (other.environment_key == environment_key) return other.work.job();
  }
  return "";
}

}  // namespace riseml::scheduler
