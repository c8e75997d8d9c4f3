#include "services/agent/node/epoch_fence.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kLongestNumber = 20;

}  // namespace

absl::StatusOr<std::int64_t> EpochFence::Read(const std::string& file) {
  if (!FileExists(file)) return 0;
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kLongestNumber));
  std::int64_t epoch = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &epoch) || epoch < 0)
    return absl::DataLossError(absl::StrCat(file, " is damaged: it must hold the number of the last leader's epoch"));
  return epoch;
}

absl::Status EpochFence::Pass(std::int64_t epoch) {
  MutexLock lock(mu_);
  if (epoch < highest_)
    return WithMetadata(Error(Reason::kNotLeader, absl::StrCat("epoch ", epoch, " is over: a scheduler with epoch ",
                                                               highest_, " has called this node")),
                        "epoch", highest_);
  if (epoch == highest_) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(
      While("remember the leader's epoch", WriteFileAtomically(file_, absl::StrCat(epoch, "\n"), 0600)));
  highest_ = epoch;
  return absl::OkStatus();
}

}  // namespace riseml::agent
