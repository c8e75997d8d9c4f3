// Client of api: lists streams, watches for changes, reports logs that are complete or truncated.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/access.grpc.pb.h"
#include "riseml/internal/v1/log_registry.grpc.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/follow/stream_owners.h"
#include "services/loghandler/follow/stream_registry.h"
#include "services/loghandler/ingest/end_tracker.h"
#include "services/loghandler/store/store.h"

namespace riseml::loghandler {

struct RegistryOptions {
  absl::Duration end_marker_grace = absl::Hours(24);
  absl::Duration sweep = absl::Seconds(1);  // between looks for overdue logs; also between tries of a report
};

// Thread-safe. One thread watches for changes, one reports. At most kMaxCalls calls of api run at once, the others
// wait, so that a thousand readers at once do not make a thousand calls.
class RegistryClient final : public StreamRegistry {
 public:
  static constexpr int kMaxCalls = 8;

  // `channel` leads to api's internal listener; the references must outlive this object.
  RegistryClient(RegistryOptions options, std::shared_ptr<grpc::Channel> channel, Store& store,
                 const StreamOwners& owners, const Clock& clock);
  ~RegistryClient() override { Stop(); }

  void ListStreams(absl::string_view credential, absl::string_view name, Listed done) override;
  void CheckRead(absl::string_view credential, absl::string_view name, Checked done) override;

  // Begins to listen and to report. The functions are called by the listening thread and must not block.
  void Start(std::function<void(const std::vector<std::string>& roots)> on_roots_changed,
             std::function<void(bool watching)> on_watching);

  // A stream has become durable up to some point; a complete one is reported. Does not block.
  void OnDurable(const Stream& stream);

  // This process owns more streams than before: their ends may not have been reported. Does not block.
  void ReportAll();

  // Cancels calls under way and waits for them. Idempotent.
  void Stop();

 private:
  template <class Request, class Response>
  struct PendingCall;
  template <class Request, class Response, class Send>
  void Start(std::shared_ptr<PendingCall<Request, Response>> call, Send send);
  void StartNext();
  void ListFrom(internal::v1::ListStreamsRequest request, std::shared_ptr<internal::v1::ListStreamsResponse> first,
                Listed done);
  void Enter(grpc::ClientContext* context);
  void Leave(grpc::ClientContext* context);

  void RunWatch(const std::stop_token& stop);
  grpc::Status Watch(std::string* resume_token);
  void Handle(const internal::v1::WatchStreamsResponse& response);
  void RunReporter(std::stop_token stop);
  // True when nothing is left to report about the stream for now.
  bool Report(const StreamId& id);

  const RegistryOptions options_;
  const std::unique_ptr<internal::v1::LogRegistryService::Stub> registry_;
  const std::unique_ptr<internal::v1::AccessService::Stub> access_;
  Store& store_;
  const StreamOwners& owners_;
  const Clock& clock_;
  std::function<void(const std::vector<std::string>&)> on_roots_changed_;
  std::function<void(bool)> on_watching_;

  Mutex mu_;
  std::condition_variable_any changed_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_set<grpc::ClientContext*> open_ ABSL_GUARDED_BY(mu_);  // calls under way
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);       // calls; at most two per follower
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_set<StreamId> to_report_ ABSL_GUARDED_BY(mu_);
  EndTracker tracker_ ABSL_GUARDED_BY(mu_);
  std::jthread watcher_;
  std::jthread reporter_;
};

}  // namespace riseml::loghandler
