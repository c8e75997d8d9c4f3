#include "services/builder/resolver.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/builder/input_finder.h"
#include "services/builder/step_reads.h"
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

Resolver::Resolver(Installation installation, CodeFiles& files, StoredEnvironments& stored)
    : installation_(std::move(installation)),
      files_(files),
      stored_(stored),
      interpreters_(installation_.python, installation_.python_version, installation_.interpreter_dirs) {}

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
  Inputs inputs;
  inputs.owner_uid = request.owner_uid();
  inputs.place = installation_.environments_dir;
  inputs.install.assign(request.install().begin(), request.install().end());
  inputs.framework = request.framework();
  if (request.framework_version() != "latest") inputs.framework_version = request.framework_version();
  Environment environment;
  if (!NeedsEnvironment(inputs)) {
    environment.set_state(Environment::NOT_NEEDED);
    return environment;
  }
  RISEML_ASSIGN_OR_RETURN(const Interpreter interpreter, interpreters_.Choose(request.image()));
  inputs.python = interpreter.path;
  inputs.python_version = interpreter.version;
  inputs.python_note = interpreter.note;
  inputs.client_dir = installation_.client_dir;
  inputs.client_digest = installation_.client_digest;
  RISEML_ASSIGN_OR_RETURN(KnownCode code, FindCode(request));
  inputs.code = std::move(code.all);
  inputs.prefix_digests = std::move(code.prefix_digests);
  if (!interpreter.prefix.empty()) environment.add_shown_paths(interpreter.prefix);

  const std::string base = KeyOf(inputs);
  inputs.rebuild = request.rebuild();
  environment.set_key(inputs.rebuild.empty() ? stored_.NewestOf(base) : KeyOf(inputs));
  environment.set_path(stored_.PathOf(request.owner_uid(), environment.key()));
  if (stored_.IsComplete(environment.key())) {
    environment.set_state(Environment::READY);
    if (!inputs.rebuild.empty()) RISEML_RETURN_IF_ERROR(stored_.SetNewest(base, environment.key()));
    return environment;
  }
  environment.set_state(Environment::MISSING);
  for (Step& step : StepsOf(inputs, environment.key(), environment.path())) {
    internal::v1::BuildStep* added = environment.add_steps();
    added->set_title(std::move(step.title));
    added->set_command(std::move(step.command));
    added->set_prefix_key(std::move(step.prefix_key));
    added->set_reuse_command(std::move(step.reuse_command));
    added->set_anew(!inputs.rebuild.empty());
  }
  return environment;
}

}  // namespace riseml::builder
