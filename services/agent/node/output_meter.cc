#include "services/agent/node/output_meter.h"

#include <string>
#include <utility>

#include "services/common/base/files/file.h"
#include "services/common/base/log.h"

namespace riseml::agent {
namespace {

using internal::v1::OutputSize;
using internal::v1::StartAttemptRequest;

// Not in the `background`, since the end of an attempt waits for the measurement, even on a busy machine.
constexpr FairExecutorOptions kMeasurements{.threads = 4, .most_per_owner = 1};

}  // namespace

OutputMeter::OutputMeter(const Launcher& launcher) : launcher_(launcher), measurements_(kMeasurements) {}

bool OutputMeter::IsDone(const AttemptId& id, const AttemptDir& dir, const JournalContent& journal) const {
  if (!journal.started || FileExists(dir.output_size())) return true;
  MutexLock lock(mu_);
  return given_up_.contains(id);
}

void OutputMeter::Begin(const AttemptId& id, const AttemptDir& dir, std::function<void()> done) {
  {
    MutexLock lock(mu_);
    if (!under_way_.insert(id).second) return;
  }
  // Damaged files of an attempt must not keep it from ending; it then counts as one without output.
  const StartAttemptRequest start = ReadMessage<StartAttemptRequest>(dir.start()).value_or(StartAttemptRequest());
  measurements_.Run(start.template_().owner_uid(), [this, id, dir, job = start.template_(), done = std::move(done)] {
    Measure(id, dir, job);
    done();
  });
}

void OutputMeter::Measure(const AttemptId& id, const AttemptDir& dir, const internal::v1::JobTemplate& job) {
  const absl::StatusOr<OutputSize> size = launcher_.MeasureOutput(job, stop_.get_token());
  const absl::Status kept = size.ok() ? WriteMessage(dir.output_size(), *size) : size.status();
  if (!kept.ok() && !absl::IsCancelled(kept))
    LogWarning("output_not_measured", {{"attempt", Print(id)}, {"error", kept.message()}});
  if (size.ok() && size->at_least())
    LogWarning("output_too_large_to_count", {{"attempt", Print(id)}, {"counted_bytes", size->bytes()}});
  MutexLock lock(mu_);
  under_way_.erase(id);
  if (!kept.ok() && !absl::IsCancelled(kept)) given_up_.insert(id);
}

void OutputMeter::Show(const AttemptDir& dir, internal::v1::AttemptStatus* status) {
  const absl::StatusOr<OutputSize> size = ReadMessage<OutputSize>(dir.output_size());
  if (size.ok() && size->has_bytes()) *status->mutable_output() = *size;
}

void OutputMeter::Forget(const AttemptId& id) {
  MutexLock lock(mu_);
  given_up_.erase(id);
}

void OutputMeter::Stop() {
  stop_.request_stop();
  measurements_.Stop();
}

}  // namespace riseml::agent
