#include "services/builder/resolver.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/builder/input_finder.h"
#include "services/builder/reads/step_reads.h"
#include "services/common/base/id.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

using internal::v1::Environment;
using internal::v1::ResolveEnvironmentRequest;

constexpr int kMaxSteps = 1000;
constexpr std::size_t kMaxStepBytes = 64 << 10;
constexpr std::size_t kMaxKnown = 2000;
constexpr std::size_t kMaxPrefixes = 32;  // bounds the work for an experiment with very many steps

bool IsVersion(absl::string_view text) {
  return text.size() <= 64 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '+' || c == '-' || c == '!' || c == '_' || c == '*';
         });
}

absl::Status Check(const ResolveEnvironmentRequest& request) {
  const auto refuse = [](absl::string_view why) { return Error(Reason::kInvalidArgument, why); };
  if (!IsUuid(request.owner_uid())) return refuse("owner_uid must be a UUID");
  if (!request.framework().empty() && request.framework() != "tensorflow")
    return refuse(absl::StrCat("framework must be tensorflow or empty, not ", request.framework()));
  if (!IsVersion(request.framework_version()))
    return refuse(absl::StrCat("framework_version is not a version: ", request.framework_version()));
  if (!request.rebuild().empty() && !IsUuid(request.rebuild())) return refuse("rebuild must be a UUID or empty");
  if (request.install_size() > kMaxSteps) return refuse(absl::StrCat("at most ", kMaxSteps, " install steps"));
  for (const std::string& step : request.install())
    if (step.size() > kMaxStepBytes)
      return refuse(absl::StrCat("an install step has at most ", kMaxStepBytes, " bytes"));
  if (request.install_size() > 0 && (!IsUuid(request.project_uid()) || !IsHexId(request.commit())))
    return refuse("install steps need project_uid, a UUID, and commit, 40 hex digits");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Resolver::KnownCode> Resolver::FindCode(const ResolveEnvironmentRequest& request) {
  if (request.install().empty()) return KnownCode();
  std::string key = absl::StrCat(request.project_uid(), "/", request.commit());
  for (const std::string& step : request.install()) absl::StrAppend(&key, "/", step.size(), ":", step);
  {
    MutexLock lock(mu_);
    if (const auto it = known_.find(key); it != known_.end()) return it->second;
  }
  const ReadCode read = [&](const std::vector<std::string>& paths) {
    return files_.Read(request.project_uid(), request.commit(), paths);
  };
  const std::vector<std::string> steps(request.install().begin(), request.install().end());
  KnownCode code;
  const StepReads reads = ReadsOf(steps);
  RISEML_ASSIGN_OR_RETURN(code.all, FindInputs(reads, read));
  code.all.outside.assign(reads.outside.begin(), reads.outside.end());
  for (std::size_t count = 1; count < steps.size() && count <= kMaxPrefixes; ++count) {
    const std::vector<std::string> first(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(count));
    RISEML_ASSIGN_OR_RETURN(const CodeInputs inputs, FindInputs(ReadsOf(first), read));
    code.prefix_digests.push_back(DigestOf(inputs));
  }
  if (steps.size() <= kMaxPrefixes) code.prefix_digests.push_back(DigestOf(code.all));
  MutexLock lock(mu_);
  if (known_.size() >= kMaxKnown) known_.clear();
  known_.emplace(std::move(key), code);
  return code;
}

absl::StatusOr<Environment> Resolver::Resolve(const ResolveEnvironmentRequest& request) {
  RISEML_RETURN_IF_ERROR(Check(request));
  RISEML_ASSIGN_OR_RETURN(KnownCode code, FindCode(request));
  return backend_.Resolve(
      {.owner_uid = request.owner_uid(),
       .project_uid = request.project_uid(),
       .install = {request.install().begin(), request.install().end()},
       .framework = request.framework(),
       .framework_version = request.framework_version() == "latest" ? "" : request.framework_version(),
       .image = request.image(),
       .base_image = request.base_image(),
       .rebuild = request.rebuild(),
       .code = std::move(code.all),
       .prefix_digests = std::move(code.prefix_digests)});
}

}  // namespace riseml::builder
