// Converts a checked riseml.yml to what api stores and what jobs get. Pure.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "riseml/v1/experiment.pb.h"
#include "services/common/base/names.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/spec.h"

namespace riseml::api {

inline constexpr absl::string_view kBuildRole = "build";
inline constexpr absl::string_view kTrainRole = "train";

using Parameters = spec::Combination;

// Returns the spec that is stored with the experiment.
v1::TrainSpec ToTrainSpec(const spec::Train& train);

// Returns the resources of a job of this role, after the server's defaults (1 core, 1,024 MB, no GPU; builds 0.5
// cores, 512 MB).
v1::Resources ResourcesOf(const v1::TrainSpec& spec, absl::string_view role);

// True when the spec has something to install, or runs in an image.
bool NeedsEnvironment(const v1::TrainSpec& spec);

std::string ParametersToJson(const Parameters& parameters);
Parameters ParametersFromJson(const std::string& json);

// Returns the commands of a job after substitution; for builds, the install steps.
std::vector<std::string> CommandsOf(const v1::TrainSpec& spec, absl::string_view role, const Parameters& parameters);

// Environment variables of parameters.
std::map<std::string, std::string> VariablesOf(const Parameters& parameters);
// Variables of `env`, with parameters filled in.
std::map<std::string, std::string> FilledEnv(const v1::TrainSpec& spec, const Parameters& parameters);

// "{user}/{project}/{N}" or "{user}/{project}/{N}/{M}".
std::string OutputSubpath(const ExperimentName& experiment, absl::string_view project);

// Fills in the whole template except the UUIDs and the revision.
void FillTemplate(const v1::TrainSpec& spec, absl::string_view role, const ExperimentName& experiment,
                  absl::string_view project, const Parameters& parameters, absl::string_view experiment_uid,
                  absl::string_view root_uid, absl::string_view commit, internal::v1::JobTemplate* out);

}  // namespace riseml::api
