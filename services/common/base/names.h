// Resource names: the only public ids. "users/paul/experiments/14.3/jobs/worker.1" and its shorter kin, parsed and
// printed in one place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml {

struct UserName {
  std::string user;
};
struct ProjectName {
  std::string user, project;
};
struct RevisionName {
  std::string user, project, commit;
};
struct ExperimentName {
  std::string user;
  std::int64_t number = 0;  // 1 or more; 0 when named by uid
  std::int64_t child = 0;   // 1 or more; 0: not a child
  std::string uid;          // set when named by UUID
};
struct JobName {
  ExperimentName experiment;
  std::string job;  // "train", "worker.3"
};

struct SecretName {
  std::string user, project;  // project: empty for a secret of all projects
  std::string secret;
};

// Each refuses with INVALID_NAME, naming the expected form.
absl::StatusOr<UserName> ParseUserName(absl::string_view name);
absl::StatusOr<ProjectName> ParseProjectName(absl::string_view name);
absl::StatusOr<RevisionName> ParseRevisionName(absl::string_view name);
absl::StatusOr<ExperimentName> ParseExperimentName(absl::string_view name);
absl::StatusOr<JobName> ParseJobName(absl::string_view name);
absl::StatusOr<SecretName> ParseSecretName(absl::string_view name);

// An experiment or set as people name it: "14", "14.3", "paul.14.3", ".paul.14.3" or a UUID; `user` is the default if
// none is named. INVALID_NAME.
absl::StatusOr<ExperimentName> ParseExperimentId(absl::string_view id, absl::string_view user);

std::string Print(const UserName& name);
std::string Print(const ProjectName& name);
std::string Print(const RevisionName& name);
std::string Print(const ExperimentName& name);
std::string Print(const JobName& name);
std::string Print(const SecretName& name);

// Short id as people type it: "14", "14.3"; with a job "14.3.train".
std::string ShortId(const ExperimentName& name);
std::string ShortId(const JobName& name);

// The variable that holds the path of an input: RISEML_INPUT_BASE_MODEL of "base-model".
std::string InputVariable(absl::string_view input);

bool IsValidUserPart(absl::string_view text);     // 2 to 39 letters, digits and inner hyphens
bool IsValidProjectPart(absl::string_view text);  // 2 to 100 letters, digits, inner hyphens and underscores
bool IsHexId(absl::string_view text);             // 40 lower-case hex digits

}  // namespace riseml
