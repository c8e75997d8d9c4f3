// In-memory Environments for tests. A test says which environments exist.
#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/common/base/status.h"
#include "services/scheduler/controller/environments.h"

namespace riseml::scheduler {

// Lives on one thread.
class FakeEnvironments final : public Environments {
 public:
  using Environment = internal::v1::Environment;
  using Explanation = internal::v1::CacheExplanation;

  absl::StatusOr<Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request) override {
    ++calls;
    if (!status.ok()) return status;
    Environment environment;
    if (request.install().empty() && request.framework().empty()) {
      environment.set_state(Environment::NOT_NEEDED);
      return environment;
    }
    if (!request.framework().empty() && request.framework() != "tensorflow")
      return Error(Reason::kInvalidArgument, "framework must be tensorflow or empty");
    environment.set_key(KeyFor(request));
    if (image) {
      environment.mutable_image()->set_reference(absl::StrCat("registry/", environment.key()));
    } else {
      environment.mutable_directory()->set_path(absl::StrCat("/environments/", environment.key()));
    }
    std::set<std::string>& used = used_[absl::StrCat(request.owner_uid(), "/", request.project_uid())];
    if (ready.contains(environment.key())) {
      used.insert(environment.key());
      if (!request.rebuild().empty()) newest_[BaseOf(request)] = environment.key();
      environment.set_state(Environment::READY);
      environment.set_digest(absl::StrCat("digest of ", environment.key()));
      environment.mutable_explanation()->set_decision(Explanation::REUSED);
    } else {
      environment.set_state(Environment::MISSING);
      environment.mutable_plan()->add_steps()->set_title("make it");
      *environment.mutable_explanation() = Explain(request, environment.key(), used);
    }
    return environment;
  }

  absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest& request) override {
    if (!image_status.ok()) return image_status;
    internal::v1::ContainerImage made;
    made.set_reference(absl::StrCat("registry/", request.environment_key(), "/", request.commit()));
    return made;
  }

  std::set<std::string> ready;  // keys, e.g. "key-x" for the step "x"
  absl::Status status;          // of all calls
  absl::Status image_status;    // of all images
  bool image = false;           // they are images
  int calls = 0;

 private:
  static std::string BaseOf(const internal::v1::ResolveEnvironmentRequest& request) {
    const std::string owner = request.owner_uid().empty() ? "" : absl::StrCat("-of-", request.owner_uid());
    return absl::StrCat("key-", absl::StrJoin(request.install(), "+"), request.framework(), request.framework_version(),
                        owner);
  }
  std::string KeyFor(const internal::v1::ResolveEnvironmentRequest& request) const {
    const std::string base = BaseOf(request);
    if (!request.rebuild().empty()) return absl::StrCat(base, "-for-", request.rebuild());
    const auto newest = newest_.find(base);
    return newest != newest_.end() && ready.contains(newest->second) ? newest->second : base;
  }
  static Explanation Explain(const internal::v1::ResolveEnvironmentRequest& request, const std::string& key,
                             const std::set<std::string>& used) {
    Explanation explanation;
    explanation.set_decision(used.contains(key)           ? Explanation::VANISHED
                             : !request.rebuild().empty() ? Explanation::REBUILD_REQUESTED
                             : used.empty()               ? Explanation::BUILT_FIRST_TIME
                                                          : Explanation::CHANGED);
    explanation.set_reason("it is a fake");
    return explanation;
  }

  std::map<std::string, std::set<std::string>> used_;  // keys by project
  std::map<std::string, std::string> newest_;          // keys of rebuilt ones by those that they replace
};

}  // namespace riseml::scheduler
