// Stores which log streams exist and whether they are complete.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/log_registry.pb.h"
#include "riseml/v1/job.pb.h"
#include "services/api/data/database.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class LogStore {
 public:
  explicit LogStore(Database& db) : db_(db) {}  // `db` outlives this

  // `as_user.caller` is the reader.
  absl::StatusOr<internal::v1::ListStreamsResponse> ListStreams(const rpc::Call& as_user,
                                                                const internal::v1::ListStreamsRequest& request);
  absl::Status ReportEnd(const internal::v1::ReportLogEndRequest& request);
  // `call.caller` is the attempt.
  absl::Status ReportBacklog(const rpc::Call& call, const v1::ReportLogBacklogRequest& request);

  // Streams whose log is open, or (with `jobs` not empty) all streams of these jobs.
  static std::vector<internal::v1::StreamInfo> Load(pqxx::transaction_base& tx, const std::vector<std::string>& jobs);

 private:
  Database& db_;
};

}  // namespace riseml::api
