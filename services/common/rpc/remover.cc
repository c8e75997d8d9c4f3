#include "services/common/rpc/remover.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "absl/status/statusor.h"
#include "services/common/base/log.h"
#include "services/common/base/mutex.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/rpc/channel.h"

namespace riseml::rpc {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(3);
constexpr absl::Duration kLongestPause = absl::Minutes(1);

}  // namespace

Remover::Remover(RemoverOptions options, const std::shared_ptr<grpc::Channel>& channel)
    : options_(std::move(options)), stub_(internal::v1::RemovalService::NewStub(channel)) {
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

void Remover::Run(std::stop_token stop) {
  absl::Duration pause = options_.pause;
  while (!stop.stop_requested()) {
    const absl::StatusOr<int> removed = RemoveListed(stop);
    if (removed.ok() && *removed > 0) continue;  // there may be more
    if (!removed.ok()) LogWarning("removal_failed", {{"error", std::string(removed.status().message())}});
    pause = removed.ok() ? options_.pause : std::min(pause * 2, kLongestPause);
    Pause(stop, pause);
  }
}

absl::StatusOr<int> Remover::RemoveListed(const std::stop_token& stop) {
  internal::v1::ListRemovalsRequest request;
  request.set_kind(options_.kind);
  RISEML_ASSIGN_OR_RETURN(const auto listed, Invoke<internal::v1::ListRemovalsResponse>(
                                                 [&](auto* context, auto* response) {
                                                   return stub_->ListRemovals(context, request, response);
                                                 },
                                                 {.timeout = kTimeout, .tries = 1}));
  internal::v1::ReportRemovedRequest report;
  report.set_kind(options_.kind);
  absl::Status failed;
  for (const std::string& item : listed.items()) {
    if (stop.stop_requested()) break;
    const absl::Status status = options_.remove(item);
    if (status.ok())
      report.add_items(item);
    else
      failed.Update(status);
  }
  if (report.items_size() > 0) {
    RISEML_RETURN_IF_ERROR(
        Invoke<internal::v1::ReportRemovedResponse>(
            [&](auto* context, auto* response) { return stub_->ReportRemoved(context, report, response); },
            {.timeout = kTimeout, .tries = 1})
            .status());
    LogInfo("removed",
            {{"kind", internal::v1::ListRemovalsRequest::Kind_Name(options_.kind)}, {"items", report.items_size()}});
  }
  RISEML_RETURN_IF_ERROR(failed);
  return report.items_size();
}

}  // namespace riseml::rpc
