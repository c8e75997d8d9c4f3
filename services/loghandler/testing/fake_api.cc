#include "services/loghandler/testing/fake_api.h"

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/status.h"

namespace riseml::loghandler {
namespace {

constexpr char kTokenPrefix[] = "token-";
constexpr int kStreamsOfPage = 2;  // so that tests with a few streams have several pages

absl::Status NoSuchObject() { return Error(Reason::kNotFound, "no such experiment or job"); }

}  // namespace

FakeApi::FakeApi(const std::string& certificates) {
  rpc::ServerOptions options;
  options.kind = rpc::ListenerKind::kInternal;
  options.listener.set_address("127.0.0.1:0");
  options.listener.set_certificate_file(certificates + "/api.crt");
  options.listener.set_key_file(certificates + "/api.key");
  options.listener.set_client_ca_file(certificates + "/ca.crt");
  options.services = {static_cast<internal::v1::AccessService::Service*>(this),
                      static_cast<internal::v1::LogRegistryService::Service*>(this), &removals_};
  absl::StatusOr<std::unique_ptr<rpc::Server>> server = rpc::Server::Start(options);
  if (!server.ok()) std::abort();  // a test cannot go on
  server_ = *std::move(server);
}

FakeApi::~FakeApi() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.notify_all();
  }
  server_->Shutdown(absl::Seconds(1));
}

std::string FakeApi::address() const { return absl::StrCat("127.0.0.1:", server_->port()); }

std::string FakeApi::TokenOf(const StreamId& id) { return absl::StrCat(kTokenPrefix, id.job_uid, "-", id.attempt); }

void FakeApi::Changed(const StreamId& stream, const std::string& root_uid) {
  changes_.push_back({stream, root_uid});
  changed_.notify_all();
}

void FakeApi::AddUser(const std::string& key) {
  MutexLock lock(mu_);
  users_.insert(key);
}

void FakeApi::DisableUser(const std::string& key) {
  MutexLock lock(mu_);
  users_.erase(key);
}

void FakeApi::AddRoot(const std::string& name, const std::string& owner_key) {
  MutexLock lock(mu_);
  roots_[name] = {NewUuid(), owner_key, false, {}};
}

StreamId FakeApi::AddStream(const std::string& root, const std::string& job, int attempt) {
  MutexLock lock(mu_);
  const StreamId id{NewUuid(), attempt};
  internal::v1::StreamInfo& info = streams_[id];
  info.set_job_uid(id.job_uid);
  info.set_attempt(attempt);
  info.set_job(absl::StrCat(root, "/jobs/", job));
  info.set_root_uid(roots_.at(root).uid);
  info.set_log_state(v1::Attempt::OPEN);
  roots_.at(root).streams.push_back(id);
  Changed(id, info.root_uid());
  return id;
}

void FakeApi::EndAttempt(const StreamId& id, absl::Time end_time) {
  MutexLock lock(mu_);
  streams_.at(id).set_ended(true);
  streams_.at(id).mutable_end_time()->set_seconds(absl::ToUnixSeconds(end_time));
  Changed(id, streams_.at(id).root_uid());
}

void FakeApi::EndRoot(const std::string& name) {
  MutexLock lock(mu_);
  roots_.at(name).ended = true;
  Changed({}, roots_.at(name).uid);
}

void FakeApi::SetLog(const StreamId& id, v1::Attempt::LogState state, std::int64_t bytes) {
  MutexLock lock(mu_);
  streams_.at(id).set_log_state(state);
  streams_.at(id).set_log_bytes(bytes);
  Changed(id, streams_.at(id).root_uid());
}

std::int64_t FakeApi::WaitForLog(const StreamId& id, v1::Attempt::LogState state) {
  MutexLock lock(mu_);
  changed_.wait(mu_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return streams_.at(id).log_state() == state; });
  return streams_.at(id).log_bytes();
}

void FakeApi::SetWatchOff(bool off) {
  MutexLock lock(mu_);
  watch_off_ = off;
  changed_.notify_all();
}

int FakeApi::lists() const {
  MutexLock lock(mu_);
  return lists_;
}

grpc::Status FakeApi::Authenticate(grpc::ServerContext* context, const internal::v1::AuthenticateRequest* request,
                                   internal::v1::Caller* response) {
  return rpc::Unary(context, "riseml.internal.v1.AccessService/Authenticate", [&](const rpc::Call&) -> absl::Status {
    MutexLock lock(mu_);
    absl::string_view token = request->credential();
    if (absl::ConsumePrefix(&token, kTokenPrefix)) {
      response->set_kind(internal::v1::Caller::JOB);
      response->set_job_uid(std::string(token.substr(0, 36)));
      int attempt = 0;
      if (token.size() < 38 || !absl::SimpleAtoi(token.substr(37), &attempt))
        return Error(Reason::kUnauthenticated, "no such token");
      response->set_attempt(attempt);
      return absl::OkStatus();
    }
    if (!users_.contains(request->credential())) return Error(Reason::kUnauthenticated, "unknown key");
    response->set_kind(internal::v1::Caller::USER);
    response->set_role(v1::User::USER);
    response->set_user(request->credential());
    response->set_user_uid("uid-of-" + request->credential());
    return absl::OkStatus();
  });
}

absl::Status FakeApi::CheckAccess(const std::string& credential, const std::string& name, std::string* root) {
  if (!users_.contains(credential)) return Error(Reason::kUnauthenticated, "unknown key");
  *root = std::vector<std::string>(absl::StrSplit(name, "/jobs/")).front();
  const auto it = roots_.find(*root);
  if (it == roots_.end() || it->second.owner != credential) return NoSuchObject();
  return absl::OkStatus();
}

grpc::Status FakeApi::Check(grpc::ServerContext* context, const internal::v1::CheckRequest* request,
                            internal::v1::CheckResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.AccessService/Check", [&](const rpc::Call&) {
    MutexLock lock(mu_);
    std::string root;
    return CheckAccess(request->credential(), request->resource(), &root);
  });
}

grpc::Status FakeApi::ListStreams(grpc::ServerContext* context, const internal::v1::ListStreamsRequest* request,
                                  internal::v1::ListStreamsResponse* response) {
  return rpc::Unary(
      context, "riseml.internal.v1.LogRegistryService/ListStreams", [&](const rpc::Call&) -> absl::Status {
        MutexLock lock(mu_);
        if (request->page_token().empty()) ++lists_;
        std::string root_name;
        if (absl::Status status = CheckAccess(request->credential(), request->name(), &root_name); !status.ok())
          return status;
        const Root& root = roots_.at(root_name);
        response->set_root_uid(root.uid);
        response->set_ended(root.ended);
        int skipped = 0, skip = 0;
        if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &skip))
          return Error(Reason::kInvalidPageToken, "page_token is broken");
        for (const StreamId& id : root.streams) {
          const internal::v1::StreamInfo& info = streams_.at(id);
          if (request->name() != root_name && request->name() != info.job()) continue;
          if (skipped++ < skip) continue;
          if (response->streams_size() == kStreamsOfPage) {
            response->set_next_page_token(absl::StrCat(skip + kStreamsOfPage));
            break;
          }
          *response->add_streams() = info;
        }
        return absl::OkStatus();
      });
}

grpc::Status FakeApi::WatchStreams(grpc::ServerContext* context, const internal::v1::WatchStreamsRequest* request,
                                   grpc::ServerWriter<internal::v1::WatchStreamsResponse>* writer) {
  std::size_t next = 0;
  bool first = request->resume_token().empty();
  if (!first && !absl::SimpleAtoi(request->resume_token(), &next))
    return rpc::ToGrpc(Error(Reason::kResumeTokenExpired, "no token of ours"));
  while (true) {
    internal::v1::WatchStreamsResponse response;
    {
      MutexLock lock(mu_);
      while (!first && next >= changes_.size() && !watch_off_ && !stopping_ && !context->IsCancelled())
        changed_.wait_for(mu_, std::chrono::milliseconds(20));
      if (watch_off_ || stopping_ || context->IsCancelled())
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "watch ended");
      if (first) {
        for (const auto& [id, info] : streams_) {
          if (info.log_state() == v1::Attempt::OPEN) *response.add_streams() = info;
        }
        response.set_synced(true);
      } else {
        for (std::size_t i = next; i < changes_.size(); ++i) {
          response.add_changed_roots(changes_[i].root_uid);
          if (changes_[i].stream.attempt != 0) *response.add_streams() = streams_.at(changes_[i].stream);
        }
      }
      first = false;
      next = changes_.size();
    }
    response.set_resume_token(absl::StrCat(next));
    if (!writer->Write(response)) return grpc::Status::CANCELLED;
  }
}

grpc::Status FakeApi::ReportLogEnd(grpc::ServerContext* context, const internal::v1::ReportLogEndRequest* request,
                                   internal::v1::ReportLogEndResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.LogRegistryService/ReportLogEnd",
                    [&](const rpc::Call&) -> absl::Status {
                      MutexLock lock(mu_);
                      const StreamId id{request->job_uid(), request->attempt()};
                      const auto it = streams_.find(id);
                      if (it == streams_.end()) return NoSuchObject();
                      if (it->second.log_state() == v1::Attempt::COMPLETE) return absl::OkStatus();
                      it->second.set_log_state(request->log_state());
                      it->second.set_log_bytes(request->log_bytes());
                      Changed(id, it->second.root_uid());
                      return absl::OkStatus();
                    });
}

}  // namespace riseml::loghandler
