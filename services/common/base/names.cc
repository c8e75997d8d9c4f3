#include "services/common/base/names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
namespace {

absl::Status BadName(absl::string_view name, absl::string_view form) {
  return Error(Reason::kInvalidName, absl::StrCat("'", name, "' is not a resource name of the form ", form));
}

bool IsWord(absl::string_view text, std::size_t max_size, bool underscores) {
  if (text.size() < 2 || text.size() > max_size) return false;
  if (!absl::ascii_isalnum(text.front()) || !absl::ascii_isalnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [underscores](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || (underscores && c == '_');
  });
}

// Splits "a/x/b/y" at slashes when it has exactly the collections given; otherwise empty.
std::vector<std::string> Parts(absl::string_view name, std::initializer_list<absl::string_view> collections) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  if (name.size() > 512 || parts.size() != collections.size() * 2) return {};
  std::vector<std::string> values;
  std::size_t i = 0;
  for (absl::string_view collection : collections) {
    if (parts[i] != collection || parts[i + 1].empty()) return {};
    values.push_back(parts[i + 1]);
    i += 2;
  }
  return values;
}

constexpr absl::string_view kExperimentForm = "users/USER/experiments/N, …/N.M or …/UUID";

bool ParseNumber(absl::string_view text, std::int64_t* out) {
  return !text.empty() && text[0] != '0' && std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, out) && *out <= 1'000'000'000;
}

absl::StatusOr<ExperimentName> MakeExperimentName(absl::string_view whole, const std::string& user,
                                                  const std::string& id) {
  ExperimentName out{.user = user};
  if (!IsValidUserPart(user)) return BadName(whole, kExperimentForm);
  if (IsUuid(id)) {
    out.uid = absl::AsciiStrToLower(id);
    return out;
  }
  const std::vector<std::string> numbers = absl::StrSplit(id, '.');
  if (numbers.size() > 2 || !ParseNumber(numbers[0], &out.number)) return BadName(whole, kExperimentForm);
  if (numbers.size() == 2 && !ParseNumber(numbers[1], &out.child)) return BadName(whole, kExperimentForm);
  return out;
}

}  // namespace

bool IsValidUserPart(absl::string_view text) { return IsWord(text, 39, false); }
bool IsValidProjectPart(absl::string_view text) { return IsWord(text, 100, true); }
bool IsHexId(absl::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

absl::StatusOr<UserName> ParseUserName(absl::string_view name) {
  const auto parts = Parts(name, {"users"});
  if (parts.empty() || !IsValidUserPart(parts[0])) return BadName(name, "users/USER");
  return UserName{parts[0]};
}

absl::StatusOr<ProjectName> ParseProjectName(absl::string_view name) {
  const auto parts = Parts(name, {"users", "projects"});
  if (parts.empty() || !IsValidUserPart(parts[0]) || !IsValidProjectPart(parts[1]))
    return BadName(name, "users/USER/projects/PROJECT");
  return ProjectName{parts[0], parts[1]};
}

absl::StatusOr<RevisionName> ParseRevisionName(absl::string_view name) {
  const auto parts = Parts(name, {"users", "projects", "revisions"});
  if (parts.empty() || !IsValidUserPart(parts[0]) || !IsValidProjectPart(parts[1]) || !IsHexId(parts[2]))
    return BadName(name, "users/USER/projects/PROJECT/revisions/COMMIT");
  return RevisionName{parts[0], parts[1], parts[2]};
}

absl::StatusOr<ExperimentName> ParseExperimentName(absl::string_view name) {
  const auto parts = Parts(name, {"users", "experiments"});
  if (parts.empty()) return BadName(name, kExperimentForm);
  return MakeExperimentName(name, parts[0], parts[1]);
}

absl::StatusOr<ExperimentName> ParseExperimentId(absl::string_view id, absl::string_view user) {
  if (IsUuid(id)) return MakeExperimentName(id, std::string(user), std::string(id));
  absl::string_view rest = id;
  const bool dotted = absl::ConsumePrefix(&rest, ".");
  if (dotted || rest.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(rest[0]))) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(rest, absl::MaxSplits('.', 1));
    return MakeExperimentName(id, std::string(parts.first), std::string(parts.second));
  }
  return MakeExperimentName(id, std::string(user), std::string(rest));
}

absl::StatusOr<JobName> ParseJobName(absl::string_view name) {
  const auto parts = Parts(name, {"users", "experiments", "jobs"});
  if (parts.empty() || parts[2].size() > 64) return BadName(name, "users/USER/experiments/N/jobs/JOB");
  RISEML_ASSIGN_OR_RETURN(ExperimentName experiment, MakeExperimentName(name, parts[0], parts[1]));
  return JobName{std::move(experiment), parts[2]};
}

absl::StatusOr<SecretName> ParseSecretName(absl::string_view name) {
  constexpr absl::string_view kForm = "users/USER/secrets/NAME or users/USER/projects/PROJECT/secrets/NAME";
  if (const auto parts = Parts(name, {"users", "secrets"}); !parts.empty() && IsValidUserPart(parts[0]))
    return SecretName{parts[0], "", parts[1]};
  const auto parts = Parts(name, {"users", "projects", "secrets"});
  if (parts.empty() || !IsValidUserPart(parts[0]) || !IsValidProjectPart(parts[1])) return BadName(name, kForm);
  return SecretName{parts[0], parts[1], parts[2]};
}

std::string Print(const UserName& name) { return absl::StrCat("users/", name.user); }
std::string Print(const ProjectName& name) { return absl::StrCat("users/", name.user, "/projects/", name.project); }
std::string Print(const RevisionName& name) {
  return absl::StrCat("users/", name.user, "/projects/", name.project, "/revisions/", name.commit);
}
std::string Print(const ExperimentName& name) {
  return absl::StrCat("users/", name.user, "/experiments/", ShortId(name));
}
std::string Print(const JobName& name) { return absl::StrCat(Print(name.experiment), "/jobs/", name.job); }

std::string Print(const SecretName& name) {
  return absl::StrCat(name.project.empty() ? Print(UserName{name.user}) : Print(ProjectName{name.user, name.project}),
                      "/secrets/", name.secret);
}

std::string ShortId(const ExperimentName& name) {
  if (!name.uid.empty()) return name.uid;
  return name.child == 0 ? absl::StrCat(name.number) : absl::StrCat(name.number, ".", name.child);
}
std::string InputVariable(absl::string_view input) {
  return absl::StrCat("RISEML_INPUT_", absl::StrReplaceAll(absl::AsciiStrToUpper(input), {{"-", "_"}}));
}

std::string ShortId(const JobName& name) { return absl::StrCat(ShortId(name.experiment), ".", name.job); }

}  // namespace riseml
