// Rules of riseml.yml, applied to the tree of either reader.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/spec/spec.h"
#include "services/common/spec/view.h"

namespace riseml::spec {

// The whole file.
absl::StatusOr<Spec> CheckSpec(const View& root);

// One section each. `warnings` receives sentences for the user.
absl::StatusOr<Train> CheckTrain(const View& train, std::vector<std::string>& warnings);
absl::StatusOr<TensorFlow> CheckTensorFlow(const View& tensorflow, const Resources& parent);
absl::StatusOr<Resources> CheckResources(const View& resources);
absl::StatusOr<std::vector<Parameter>> CheckParameters(const View& parameters, std::vector<std::string>& warnings);

// Variables for the commands of `train`, whose parameters are known already.
absl::StatusOr<std::map<std::string, std::string>> CheckEnv(const View& env, const Train& train);

// Secrets for the commands of `train`, whose parameters and variables are known already.
absl::StatusOr<std::vector<Secret>> CheckSecrets(const View& secrets, const Train& train);

// When, where and how often the jobs of `train` run: its keys retries, queue, priority, node_selector, max_run_time.
absl::Status CheckScheduling(const View& section, Train& train);

// Outputs of other experiments that the commands read.
absl::StatusOr<std::vector<Input>> CheckInputs(const View& inputs);

// The install steps of `train`, whose parameters are known already: they cannot use any.
absl::Status CheckInstallSteps(const View& install, const Train& train);

// The commands of `run` with the parameters of `train`: every placeholder is declared, and the longest values still
// make commands that can run. Warns about parameters that nothing uses and about values that the shell would change.
absl::Status CheckCommands(const View& run, const Train& train, std::vector<std::string>& warnings);

}  // namespace riseml::spec
