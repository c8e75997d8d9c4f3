// Api as the log handler sees it, for tests: who may read what, which streams there are, which logs have ended. Real
// gRPC over mutual TLS.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "riseml/internal/v1/access.grpc.pb.h"
#include "riseml/internal/v1/log_registry.grpc.pb.h"
#include "riseml/v1/job.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/server.h"
#include "services/common/testing/no_removals.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

// Thread-safe.
class FakeApi final : public internal::v1::AccessService::Service, public internal::v1::LogRegistryService::Service {
 public:
  // `certificates`: a directory as rpc::WriteCertificates makes it, with a certificate for "api".
  explicit FakeApi(const std::string& certificates);
  ~FakeApi() override;

  std::string address() const;

  void AddUser(const std::string& key);
  void DisableUser(const std::string& key);
  // An experiment or set and its jobs: names "<root>" and "<root>/jobs/<n>".
  void AddRoot(const std::string& name, const std::string& owner_key);
  // A new attempt; the token for it is "token-<job uid>-<attempt>".
  StreamId AddStream(const std::string& root, const std::string& job, int attempt = 1);
  static std::string TokenOf(const StreamId& id);
  void EndAttempt(const StreamId& id, absl::Time end_time = SystemClock().Now());
  void EndRoot(const std::string& name);
  // As if the log had been recorded like this.
  void SetLog(const StreamId& id, v1::Attempt::LogState state, std::int64_t bytes);

  // Blocks until the log of an attempt was reported to be in this state; its bytes.
  std::int64_t WaitForLog(const StreamId& id, v1::Attempt::LogState state);
  // Ends every watch; while `off`, nothing can be watched.
  void SetWatchOff(bool off);
  int lists() const;

  grpc::Status Authenticate(grpc::ServerContext* context, const internal::v1::AuthenticateRequest* request,
                            internal::v1::Caller* response) override;
  grpc::Status Check(grpc::ServerContext* context, const internal::v1::CheckRequest* request,
                     internal::v1::CheckResponse* response) override;
  grpc::Status ListStreams(grpc::ServerContext* context, const internal::v1::ListStreamsRequest* request,
                           internal::v1::ListStreamsResponse* response) override;
  grpc::Status WatchStreams(grpc::ServerContext* context, const internal::v1::WatchStreamsRequest* request,
                            grpc::ServerWriter<internal::v1::WatchStreamsResponse>* writer) override;
  grpc::Status ReportLogEnd(grpc::ServerContext* context, const internal::v1::ReportLogEndRequest* request,
                            internal::v1::ReportLogEndResponse* response) override;

 private:
  struct Root {
    std::string uid, owner;
    bool ended = false;
    std::vector<StreamId> streams;
  };
  struct Change {
    StreamId stream;  // without a job: only the root has changed
    std::string root_uid;
  };
  absl::Status CheckAccess(const std::string& credential, const std::string& name, std::string* root)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Changed(const StreamId& stream, const std::string& root_uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  fixtures::NoRemovals removals_;
  mutable Mutex mu_;
  std::condition_variable_any changed_;
  std::set<std::string> users_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Root> roots_ ABSL_GUARDED_BY(mu_);
  std::map<StreamId, internal::v1::StreamInfo> streams_ ABSL_GUARDED_BY(mu_);
  std::vector<Change> changes_ ABSL_GUARDED_BY(mu_);
  bool watch_off_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  int lists_ ABSL_GUARDED_BY(mu_) = 0;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace riseml::loghandler
