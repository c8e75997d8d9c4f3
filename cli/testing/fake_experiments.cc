#include "cli/testing/fake_experiments.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/experiment_state.h"
#include "cli/render/state.h"
#include "riseml/v1/experiment.grpc.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "riseml/v1/log.grpc.pb.h"
#include "services/common/base/mutex.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/status.h"

namespace riseml::cli {

absl::Status NotFound() { return Error(Reason::kNotFound, "not found"); }

class FakeExperiments final : public v1::ExperimentService::Service {
 public:
  explicit FakeExperiments(FakeContent& content) : content_(content) {}

  grpc::Status CreateExperiment(grpc::ServerContext* context, const v1::CreateExperimentRequest* request,
                                v1::Experiment* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/CreateExperiment", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      content_.created_.push_back(*request);
      auto it = content_.experiments_.find(ExperimentResourceName("138"));
      if (it == content_.experiments_.end()) return NotFound();
      *out = it->second;
      return absl::OkStatus();
    });
  }
  grpc::Status GetExperiment(grpc::ServerContext* context, const v1::GetExperimentRequest* request,
                             v1::Experiment* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/GetExperiment", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto it = content_.experiments_.find(request->name());
      if (it == content_.experiments_.end()) return NotFound();
      *out = it->second;
      for (const auto& [name, job] : content_.jobs_) {
        if (ExperimentOf(job) == request->name()) *out->add_jobs() = job;
      }
      return absl::OkStatus();
    });
  }
  grpc::Status ListExperiments(grpc::ServerContext* context, const v1::ListExperimentsRequest* request,
                               v1::ListExperimentsResponse* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/ListExperiments", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      std::map<std::int64_t, v1::Experiment> found;  // newest first, children by number
      for (const auto& [name, experiment] : content_.experiments_) {
        const ExperimentName parts = *ParseExperimentName(name);
        const bool children = absl::StrContains(request->parent(), "/experiments/");
        const bool state = request->states().empty() || std::find(request->states().begin(), request->states().end(),
                                                                  experiment.state()) != request->states().end();
        if (!state) continue;
        if (!request->project().empty() && !absl::EndsWith(experiment.project(), "/" + request->project())) continue;
        if (children && parts.child != 0 && absl::StartsWith(name, request->parent() + "."))
          found[parts.child] = experiment;
        if (!children && parts.child == 0) found[-parts.number] = experiment;
      }
      // Pages of one item test that the client asks for all of them.
      std::int64_t skip = request->page_token().empty() ? 0 : std::stoll(request->page_token());
      std::int64_t at = 0;
      for (const auto& [key, experiment] : found) {
        if (at++ != skip) continue;
        *out->add_experiments() = experiment;
        if (at < static_cast<std::int64_t>(found.size())) out->set_next_page_token(absl::StrCat(at));
      }
      return absl::OkStatus();
    });
  }
  grpc::Status KillExperiment(grpc::ServerContext* context, const v1::KillExperimentRequest* request,
                              v1::Experiment* out) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/KillExperiment", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto it = content_.experiments_.find(request->name());
      if (it == content_.experiments_.end()) return NotFound();
      if (it->second.state() == v1::Experiment::FINISHED) return Error(Reason::kExperimentDone, "it has ended");
      it->second.set_state(v1::Experiment::KILLED);
      content_.killed_.push_back(request->name());
      content_.Changed();
      *out = it->second;
      return absl::OkStatus();
    });
  }
  grpc::Status DeleteExperiment(grpc::ServerContext* context, const v1::DeleteExperimentRequest* request,
                                v1::DeleteExperimentResponse*) override {
    return rpc::Unary(context, "riseml.v1.ExperimentService/DeleteExperiment", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto it = content_.experiments_.find(request->name());
      if (it == content_.experiments_.end()) return NotFound();
      if (!IsTerminal(it->second.state())) return Error(Reason::kExperimentRuns, "it runs");
      content_.experiments_.erase(it);
      content_.deleted_.push_back(request->name());
      return absl::OkStatus();
    });
  }
  grpc::Status WatchExperiment(grpc::ServerContext* context, const v1::WatchExperimentRequest* request,
                               grpc::ServerWriter<v1::WatchExperimentResponse>* writer) override {
    std::map<std::string, std::string> sent;
    bool synced = false;
    MutexLock lock(content_.mu_);
    if (!content_.experiments_.contains(request->name())) return rpc::ToGrpc(NotFound());
    while (!context->IsCancelled() && !content_.stopped_) {
      bool over = false;
      for (const auto& [name, experiment] : content_.experiments_) {
        if (name != request->name() && !absl::StartsWith(name, request->name() + ".")) continue;
        if (name == request->name()) over = IsTerminal(experiment.state());
        v1::WatchExperimentResponse response;
        *response.mutable_experiment() = experiment;
        Send(std::move(response), name, *writer, sent);
      }
      for (const auto& [name, job] : content_.jobs_) {
        const std::string owner = ExperimentOf(job);
        if (owner != request->name() && !absl::StartsWith(owner, request->name() + ".")) continue;
        v1::WatchExperimentResponse response;
        *response.mutable_job() = job;
        Send(std::move(response), name, *writer, sent);
      }
      if (!synced) {
        v1::WatchExperimentResponse response;
        response.mutable_synced();
        writer->Write(response);
        synced = true;
        if (content_.watch_cuts_ > 0) {
          --content_.watch_cuts_;
          return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
        }
      }
      if (over) return grpc::Status::OK;
      content_.changed_.wait_for(content_.mu_, std::chrono::milliseconds(50));
    }
    return grpc::Status::CANCELLED;
  }

 private:
  static void Send(v1::WatchExperimentResponse response, const std::string& name,
                   grpc::ServerWriter<v1::WatchExperimentResponse>& writer, std::map<std::string, std::string>& sent) {
    std::string bytes = response.SerializeAsString();
    if (sent[name] == bytes) return;
    sent[name] = std::move(bytes);
    writer.Write(response);
  }

  FakeContent& content_;
};

class FakeJobs final : public v1::JobService::Service {
 public:
  explicit FakeJobs(FakeContent& content) : content_(content) {}
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request, v1::Job* out) override {
    return rpc::Unary(context, "riseml.v1.JobService/GetJob", [&](const rpc::Call&) {
      MutexLock lock(content_.mu_);
      const auto it = content_.jobs_.find(request->name());
      if (it == content_.jobs_.end()) return NotFound();
      *out = it->second;
      return absl::OkStatus();
    });
  }

 private:
  FakeContent& content_;
};

class FakeLogs final : public v1::LogService::Service {
 public:
  FakeLogs(FakeContent& content, int server) : content_(content), server_(server) {}

  // Sends at most seven bytes a chunk, so that lines and characters are split.
  grpc::Status Follow(grpc::ServerContext* context, const v1::FollowRequest* request,
                      grpc::ServerWriter<v1::FollowResponse>* writer) override {
    MutexLock lock(content_.mu_);
    ++content_.follow_calls_;
    std::size_t left = SIZE_MAX;
    if (!content_.cuts_.empty()) {
      left = content_.cuts_.front();
      content_.cuts_.erase(content_.cuts_.begin());
    }
    std::map<std::string, std::size_t> next;
    std::map<std::string, bool> ended;
    while (!context->IsCancelled() && !content_.stopped_) {
      bool open = false;
      for (const auto& [uid, log] : content_.logs_) {
        if (log.job != request->name() && !absl::StartsWith(log.job, request->name() + "/") &&
            !absl::StartsWith(log.job, request->name() + ".")) {
          continue;
        }
        v1::FollowResponse response;
        if (ended[uid]) continue;
        if (const auto owner = log.elsewhere.find(server_); owner != log.elsewhere.end()) {
          response.mutable_owner()->set_job_uid(uid);
          response.mutable_owner()->set_attempt(1);
          response.mutable_owner()->set_job(log.job);
          response.mutable_owner()->set_address(owner->second);
          writer->Write(response);
          ended[uid] = true;
          continue;
        }
        if (!next.contains(uid)) {
          next[uid] = Start(*request, uid, log);
          response.mutable_stream()->set_job_uid(uid);
          response.mutable_stream()->set_attempt(1);
          response.mutable_stream()->set_job(log.job);
          writer->Write(response);
        }
        while (next[uid] < log.bytes.size()) {
          const std::string piece = log.bytes.substr(next[uid], std::min<std::size_t>(7, left));
          if (piece.empty()) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
          v1::LogChunk* chunk = response.mutable_chunk();
          chunk->set_job_uid(uid);
          chunk->set_attempt(1);
          chunk->set_first_offset(static_cast<std::int64_t>(next[uid]));
          chunk->set_data(piece);
          writer->Write(response);
          next[uid] += piece.size();
          left -= std::min(left, piece.size());
        }
        if (log.ended) {
          v1::LogEnd* end = response.mutable_end();
          end->set_job_uid(uid);
          end->set_attempt(1);
          end->set_final_offset(static_cast<std::int64_t>(log.bytes.size()));
          end->set_complete(log.complete);
          end->set_error(log.error);
          writer->Write(response);
          ended[uid] = true;
        }
        open |= !log.ended;
      }
      if (request->no_follow() || (!open && !ended.empty())) return grpc::Status::OK;
      content_.changed_.wait_for(content_.mu_, std::chrono::milliseconds(50));
    }
    return grpc::Status::CANCELLED;
  }

 private:
  static std::size_t Start(const v1::FollowRequest& request, const std::string& uid, const FakeContent::Log& log) {
    for (const v1::StreamCursor& cursor : request.cursors()) {
      if (cursor.job_uid() == uid) return static_cast<std::size_t>(cursor.offset());
    }
    if (request.start_case() != v1::FollowRequest::kTailLines) return static_cast<std::size_t>(request.from_offset());
    std::size_t at = log.bytes.size();
    for (std::int64_t lines = 0; at > 0; --at) {
      if (log.bytes[at - 1] == '\n' && lines++ == request.tail_lines()) break;
    }
    return at;
  }

  FakeContent& content_;
  const int server_;
};

std::unique_ptr<grpc::Service> MakeLogService(FakeContent& content, int server) {
  return std::make_unique<FakeLogs>(content, server);
}

std::vector<std::unique_ptr<grpc::Service>> MakeExperimentServices(FakeContent& content) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<FakeExperiments>(content));
  services.push_back(std::make_unique<FakeJobs>(content));
  services.push_back(MakeLogService(content, 0));
  return services;
}

}  // namespace riseml::cli
