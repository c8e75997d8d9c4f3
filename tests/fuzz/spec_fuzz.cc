// Any bytes as riseml.yml and as a JSON config: no crash, and what the parser promises holds for each result.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "services/common/base/status.h"
#include "services/common/spec/features.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/parse.h"
#include "services/common/spec/source.h"

namespace {

using riseml::spec::Undeclared;

constexpr std::int64_t kCombinationsTried = 200;

void Require(bool holds) {
  if (!holds) std::abort();
}

// One line, or two with a path; printable UTF-8 only.
void CheckError(const absl::Status& status) {
  Require(riseml::HasReason(status, riseml::Reason::kInvalidSpec));
  const std::string message(status.message());
  Require(absl::StartsWith(message, "f:"));
  Require(riseml::spec::Source::Create(message, "message").ok());
  const auto breaks = std::count(message.begin(), message.end(), '\n');
  Require(breaks == 0 || (breaks == 1 && absl::StrContains(message, "\nOn path: \"")));
}

void CheckTrain(const riseml::spec::Train& train, Undeclared undeclared) {
  Require(!train.run.empty() && !train.image.empty() && train.concurrency >= 1);
  Require(train.tensorflow.has_value() == (train.framework == "tensorflow"));
  (void)riseml::spec::CheckRunnable(train);
  (void)riseml::spec::Notices(train);
  const std::int64_t count = riseml::spec::CombinationCount(train);
  Require(count >= 1 && count <= riseml::spec::kMostCombinations);
  if (count > kCombinationsTried) return;
  const auto all = riseml::spec::Combinations(train);
  Require(static_cast<std::int64_t>(all.size()) == count);
  for (const auto& combination : all)
    for (const std::string& command : train.run)
      Require(riseml::spec::Substitute(command, combination, undeclared).ok());
}

void CheckResult(const absl::StatusOr<riseml::spec::Spec>& spec, Undeclared undeclared) {
  if (!spec.ok()) {
    CheckError(spec.status());
  } else if (spec->train) {
    CheckTrain(*spec->train, undeclared);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckResult(riseml::spec::ParseSpec(text, "f"), Undeclared::kRefuse);
  CheckResult(riseml::spec::ParseSpecJson(text, "ab", "f"), Undeclared::kKeep);
  return 0;
}
