// Services of the internal listener: parse, call, answer.
#pragma once

#include "riseml/internal/v1/access.grpc.pb.h"
#include "riseml/internal/v1/code.grpc.pb.h"
#include "riseml/internal/v1/log_registry.grpc.pb.h"
#include "riseml/internal/v1/removal.grpc.pb.h"
#include "riseml/internal/v1/scheduling.grpc.pb.h"
#include "services/api/code_store.h"
#include "services/api/log_store.h"
#include "services/api/removal_store.h"
#include "services/api/scheduling_store.h"
#include "services/api/watchers.h"
#include "services/common/rpc/server.h"

namespace riseml::api {

class AccessHandler final
    : public internal::v1::AccessService::WithCallbackMethod_WatchAccess<internal::v1::AccessService::Service> {
 public:
  AccessHandler(Authenticator& authenticator, CodeStore& code, FeedHub& feed, Executor& executor)
      : authenticator_(authenticator), code_(code), feed_(feed), executor_(executor) {}  // all outlive this
  grpc::Status Authenticate(grpc::ServerContext*, const internal::v1::AuthenticateRequest*,
                            internal::v1::Caller*) override;
  grpc::Status Check(grpc::ServerContext*, const internal::v1::CheckRequest*, internal::v1::CheckResponse*) override;
  grpc::ServerWriteReactor<internal::v1::WatchAccessResponse>* WatchAccess(
      grpc::CallbackServerContext*, const internal::v1::WatchAccessRequest*) override;

 private:
  Authenticator& authenticator_;
  CodeStore& code_;
  FeedHub& feed_;
  Executor& executor_;
};

class RevisionRegistryHandler final : public internal::v1::RevisionRegistryService::Service {
 public:
  explicit RevisionRegistryHandler(CodeStore& code) : code_(code) {}  // outlives this
  grpc::Status ResolveProject(grpc::ServerContext*, const internal::v1::ResolveProjectRequest*,
                              internal::v1::ResolveProjectResponse*) override;
  grpc::Status RegisterRevision(grpc::ServerContext*, const internal::v1::RegisterRevisionRequest*,
                                v1::Revision*) override;

 private:
  CodeStore& code_;
};

class SchedulingHandler final
    : public internal::v1::SchedulingService::WithCallbackMethod_WatchWork<internal::v1::SchedulingService::Service> {
 public:
  SchedulingHandler(Database& db, SchedulingStore& scheduling, const AttemptTokens& tokens, Executor& executor)
      : db_(db), scheduling_(scheduling), tokens_(tokens), executor_(executor) {}  // all outlive this
  grpc::Status AcquireLeadership(grpc::ServerContext*, const internal::v1::AcquireLeadershipRequest*,
                                 internal::v1::AcquireLeadershipResponse*) override;
  grpc::Status CommitPlan(grpc::ServerContext*, const internal::v1::CommitPlanRequest*,
                          internal::v1::CommitPlanResponse*) override;
  grpc::Status ReportObservations(grpc::ServerContext*, const internal::v1::ReportObservationsRequest*,
                                  internal::v1::ReportObservationsResponse*) override;
  grpc::Status GetJobTemplate(grpc::ServerContext*, const internal::v1::GetJobTemplateRequest*,
                              internal::v1::GetJobTemplateResponse*) override;
  grpc::Status ReportNodes(grpc::ServerContext*, const internal::v1::ReportNodesRequest*,
                           internal::v1::ReportNodesResponse*) override;
  grpc::ServerWriteReactor<internal::v1::WatchWorkResponse>* WatchWork(grpc::CallbackServerContext*,
                                                                       const internal::v1::WatchWorkRequest*) override;

 private:
  Database& db_;
  SchedulingStore& scheduling_;
  const AttemptTokens& tokens_;
  Executor& executor_;
};

class LogRegistryHandler final : public internal::v1::LogRegistryService::WithCallbackMethod_WatchStreams<
                                     internal::v1::LogRegistryService::Service> {
 public:
  LogRegistryHandler(Database& db, LogStore& logs, rpc::Authenticator& authenticator, Executor& executor)
      : db_(db), logs_(logs), authenticator_(authenticator), executor_(executor) {}  // all outlive this
  grpc::Status ListStreams(grpc::ServerContext*, const internal::v1::ListStreamsRequest*,
                           internal::v1::ListStreamsResponse*) override;
  grpc::Status ReportLogEnd(grpc::ServerContext*, const internal::v1::ReportLogEndRequest*,
                            internal::v1::ReportLogEndResponse*) override;
  grpc::ServerWriteReactor<internal::v1::WatchStreamsResponse>* WatchStreams(
      grpc::CallbackServerContext*, const internal::v1::WatchStreamsRequest*) override;

 private:
  Database& db_;
  LogStore& logs_;
  rpc::Authenticator& authenticator_;
  Executor& executor_;
};

class RemovalHandler final : public internal::v1::RemovalService::Service {
 public:
  explicit RemovalHandler(RemovalStore& removals) : removals_(removals) {}  // outlives this
  grpc::Status ListRemovals(grpc::ServerContext*, const internal::v1::ListRemovalsRequest*,
                            internal::v1::ListRemovalsResponse*) override;
  grpc::Status ReportRemoved(grpc::ServerContext*, const internal::v1::ReportRemovedRequest*,
                             internal::v1::ReportRemovedResponse*) override;

 private:
  RemovalStore& removals_;
};

}  // namespace riseml::api
