#include "cli/client/target.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/id.h"
#include "services/common/base/names.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kMaxNumber = 1'000'000'000;

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

bool ReadNumber(absl::string_view text, std::int64_t* out) {
  return IsNumber(text) && absl::SimpleAtoi(text, out) && *out >= 1 && *out <= kMaxNumber;
}

bool IsJobType(absl::string_view text) {
  return !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), absl::ascii_isalpha);
}

absl::Status Unknown(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("Id does not identify any RiseML entity! '", text,
                   "' has none of the forms 14, 14.3, 14.train, .paul.14, .paul, @last, -1 to -500, UUID"));
}

// Reads the parts after the user: N[.M][.jobtype[.K]].
bool ReadParts(const std::vector<absl::string_view>& parts, std::size_t at, Target* out) {
  if (at >= parts.size() || !ReadNumber(parts[at++], &out->number)) return false;
  if (at < parts.size() && IsNumber(parts[at]) && !ReadNumber(parts[at++], &out->child)) return false;
  if (at == parts.size()) return true;
  if (!IsJobType(parts[at])) return false;
  out->kind = Target::Kind::kJob;
  out->job = std::string(parts[at++]);
  if (at == parts.size()) return true;
  std::int64_t member = 0;
  if (!ReadNumber(parts[at++], &member)) return false;
  absl::StrAppend(&out->job, ".", member);
  return at == parts.size();
}

}  // namespace

absl::StatusOr<Target> ParseTarget(absl::string_view text) {
  Target target;
  if (text == "@last") {
    target.kind = Target::Kind::kRecent;
    target.back = 1;
    return target;
  }
  if (text.size() > 200) return Unknown(absl::StrCat(text.substr(0, 20), "…"));
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "-")) {
    target.kind = Target::Kind::kRecent;
    if (!IsNumber(rest) || !absl::SimpleAtoi(rest, &target.back) || target.back < 1 || target.back > kMaxBack)
      return Unknown(text);
    return target;
  }
  if (IsUuid(text)) {
    target.uid = absl::AsciiStrToLower(text);
    return target;
  }
  const bool dotted = absl::ConsumePrefix(&rest, ".");
  const std::vector<absl::string_view> parts = absl::StrSplit(rest, '.');
  std::size_t at = 0;
  if (dotted || !IsNumber(parts[0])) {
    if (!IsValidUserPart(parts[0])) return Unknown(text);
    target.user = std::string(parts[0]);
    at = 1;
    if (dotted && parts.size() == 1) {
      target.kind = Target::Kind::kUser;
      return target;
    }
  }
  if (!ReadParts(parts, at, &target)) return Unknown(text);
  return target;
}

std::string ExperimentResource(const Target& target, absl::string_view caller) {
  return Print(ExperimentName{.user = target.user.empty() ? std::string(caller) : target.user,
                              .number = target.number,
                              .child = target.child,
                              .uid = target.uid});
}

std::string Resource(const Target& target, absl::string_view caller) {
  std::string out = ExperimentResource(target, caller);
  if (target.kind == Target::Kind::kJob) absl::StrAppend(&out, "/jobs/", target.job);
  return out;
}

std::string ShownId(absl::string_view resource, absl::string_view caller) {
  const auto shown = [caller](const std::string& user, const std::string& id) {
    return user == caller ? id : absl::StrCat(".", user, ".", id);
  };
  if (const auto job = ParseJobName(resource); job.ok()) return shown(job->experiment.user, ShortId(*job));
  if (const auto experiment = ParseExperimentName(resource); experiment.ok())
    return shown(experiment->user, ShortId(*experiment));
  return std::string(resource);
}

}  // namespace riseml::cli
