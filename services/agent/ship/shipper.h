// `riseml-agent ship`: delivers the log and the results of one attempt, in spite of failures of other processes, and
// ends when everything is stored.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/ship/backlog_reports.h"
#include "services/agent/ship/log_transport.h"
#include "services/agent/ship/result_delivery.h"
#include "services/agent/ship/result_worker.h"
#include "services/agent/ship/ship_cursor.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/logtext/redact.h"

struct ZSTD_CCtx_s;

namespace riseml::agent {

struct ShipperOptions {
  std::int64_t unshipped_limit = std::int64_t{4} << 30;
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration longest_backoff = absl::Seconds(5);
  absl::Duration stall_limit = absl::Seconds(30);    // a call without progress is restarted after this time
  absl::Duration refusal_limit = absl::Minutes(15);  // once the attempt has ended: gives up when refusals have lasted
                                                     // this long, counted from the first one, which may precede the end
  absl::Duration poll_interval = absl::Milliseconds(200);  // in addition to notifications by the kernel
  BacklogTimes backlog;
  std::vector<std::string> hidden;  // values that become asterisks in the stored log
};

// Reports to api. They may block for some seconds.
struct ApiCalls {
  ReportResults report_results;
  ReportBacklog report_backlog;
};

// Ships one attempt. Run must be called by one thread.
class Shipper {
 public:
  // `log` is used to read the log file and, if it is open for writing, to free stored bytes. All references must
  // outlive this.
  Shipper(AttemptDir dir, UniqueFd log, LogTransport& transport, ApiCalls api, ShipperOptions options,
          const Clock& clock);
  ~Shipper();

  // Returns when everything is stored, when shipping was given up for good (the reason is in shipped.pb), or when
  // stopped.
  absl::Status Run(std::stop_token stop);

 private:
  struct Wakeup;

  absl::Status Open();
  absl::Status LookAtFiles(absl::Time now);
  void FollowCall(absl::Time now);
  void OnCallOver(const absl::Status& why, absl::Time now);
  absl::StatusOr<absl::Time> SendWhatIsDue(absl::Time now);
  absl::StatusOr<v1::IngestRequest> Message(const ShipAction& action, absl::Time now);
  absl::StatusOr<ShipAction> WithoutHole(const ShipAction& action) const;
  absl::StatusOr<std::int64_t> EndOfHole(std::int64_t first) const;
  absl::StatusOr<std::string> ReadLog(std::int64_t first, std::int64_t length) const;
  absl::StatusOr<std::string> ReadMasked(std::int64_t first, std::int64_t length) const;
  absl::StatusOr<std::int64_t> SizeToShip(std::int64_t size) const;
  std::optional<Backlog> Waiting(absl::Time now) const;
  absl::Status Save(bool complete, const std::string& given_up);
  absl::Status SaveSometimes();
  void FreeStored();
  void Wait(absl::Time until, absl::Time now, bool files_too);

  const AttemptDir dir_;
  const UniqueFd log_;
  LogTransport& transport_;
  const ApiCalls api_;
  const ShipperOptions options_;
  const Clock& clock_;
  const logtext::Masker masker_;
  std::unique_ptr<Wakeup> wakeup_;
  std::unique_ptr<ResultWorker> results_;
  std::unique_ptr<BacklogReports> backlog_;
  std::unique_ptr<ShipCursor> cursor_;
  std::unique_ptr<LogCall> call_;
  struct FreeCompressor {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_CCtx_s, FreeCompressor> compressor_;
  std::int64_t journal_bytes_ = -1;
  std::int64_t results_bytes_ = 0;
  bool ended_ = false;
  absl::Time end_seen_ = absl::InfiniteFuture();
  bool begun_ = false;        // the server has answered this call's hello
  std::int64_t answers_ = 0;  // of this call
  bool complete_ = false;     // the server has stored the end
  std::string given_up_;
  int failures_ = 0;
  absl::Time next_call_ = absl::InfinitePast();
  absl::Time last_progress_ = absl::InfinitePast();
  absl::Time refused_since_ = absl::InfiniteFuture();
  std::int64_t saved_acknowledged_ = 0, saved_dropped_ = 0, saved_results_ = 0;
  bool saved_backlog_ = false;
  std::int64_t freed_ = 0;
};

}  // namespace riseml::agent
