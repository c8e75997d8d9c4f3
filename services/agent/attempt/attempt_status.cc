#include "services/agent/attempt/attempt_status.h"

#include "absl/strings/str_cat.h"
#include "services/agent/attempt/run_secrets.h"
#include "services/common/base/files/file.h"
#include "services/common/logtext/redact.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptEnded;
using internal::v1::AttemptStatus;

AttemptStatus StatusFrom(const AttemptId& id, const JournalContent& journal) {
  AttemptStatus status;
  status.set_job_uid(id.job_uid);
  status.set_attempt(id.attempt);
  status.set_phase(journal.ended     ? AttemptStatus::ENDED
                   : journal.started ? AttemptStatus::RUNNING
                                     : AttemptStatus::PREPARING);
  if (journal.started) *status.mutable_start_time() = journal.started->time();
  if (!journal.ended) return status;
  const AttemptEnded& ended = *journal.ended;
  status.set_end(ended.event());
  status.set_reason(ended.reason());
  status.set_message(ended.message());
  if (ended.has_exit_code()) status.set_exit_code(ended.exit_code());
  status.set_exit_class(ended.exit_class());
  *status.mutable_end_time() = ended.time();
  return status;
}

}  // namespace

AttemptStatus ShownStatus(const AttemptId& id, const AttemptDir& dir, const JournalContent& journal) {
  AttemptStatus status = StatusFrom(id, journal);
  if (status.message().empty() || !FileExists(dir.start())) return status;
  const auto hidden = HiddenValues(dir);
  // Damaged files of an attempt must not keep it from ending.
  status.set_message(hidden.ok() ? logtext::Masker(*hidden).Mask(status.message())
                                 : absl::StrCat("not shown, as it may hold secrets: ", hidden.status().message()));
  return status;
}

}  // namespace riseml::agent
