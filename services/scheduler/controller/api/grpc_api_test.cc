// GrpcApi and GrpcEnvironments against servers made for the test, over TLS on loopback; and the loop around the
// controller.
#include "services/scheduler/controller/api/grpc_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "services/common/base/clock.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"
#include "services/common/rpc/status.h"
#include "services/scheduler/cluster/fake_cluster.h"
#include "services/scheduler/controller/controller.h"
#include "services/scheduler/controller/loop.h"

namespace riseml::scheduler {
namespace {

using internal::v1::WatchWorkRequest;
using internal::v1::WatchWorkResponse;

// Hands over values between threads; waits 20 s for one at most.
template <class T>
class Channel {
 public:
  void Put(T value) {
    {
      MutexLock lock(mu_);
      values_.push_back(std::move(value));
    }
    changed_.notify_all();
  }
  std::optional<T> Take(const std::function<bool()>& give_up = [] { return false; }) {
    MutexLock lock(mu_);
    for (int i = 0; i < 200 && !give_up(); ++i) {
      if (changed_.wait_for(mu_, std::chrono::milliseconds(100), [this] { return !values_.empty(); })) {
        T value = std::move(values_.front());
        values_.pop_front();
        return value;
      }
    }
    return std::nullopt;
  }

 private:
  Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<T> values_;
};

// Plays the script of the test: each stream sends the next list of responses and ends with its status; an empty script
// stays open.
class Scheduling final : public internal::v1::SchedulingService::Service {
 public:
  struct Stream {
    std::vector<WatchWorkResponse> responses;
    absl::Status end;
    bool stay_open = false;
  };
  Channel<Stream> script;
  Channel<std::string> tokens;  // of the streams that came in
  Channel<internal::v1::CommitPlanRequest> plans;

  grpc::Status AcquireLeadership(grpc::ServerContext* context, const internal::v1::AcquireLeadershipRequest* request,
                                 internal::v1::AcquireLeadershipResponse* response) override {
    return rpc::Unary(context, "AcquireLeadership", [&](const rpc::Call&) -> absl::Status {
      if (request->holder() == "late") return Error(Reason::kNotLeader, "somebody else leads");
      response->set_epoch(request->epoch() + 1);
      return absl::OkStatus();
    });
  }
  grpc::Status WatchWork(grpc::ServerContext* context, const WatchWorkRequest* request,
                         grpc::ServerWriter<WatchWorkResponse>* writer) override {
    tokens.Put(request->resume_token());
    const auto cancelled = [&] { return context->IsCancelled(); };
    const auto stream = script.Take(cancelled);
    if (!stream) return grpc::Status::CANCELLED;
    for (const WatchWorkResponse& response : stream->responses) writer->Write(response);
    if (stream->stay_open) {
      Channel<int> never;
      never.Take(cancelled);
    }
    return rpc::ToGrpc(stream->end);
  }
  grpc::Status CommitPlan(grpc::ServerContext* context, const internal::v1::CommitPlanRequest* request,
                          internal::v1::CommitPlanResponse* response) override {
    return rpc::Unary(context, "CommitPlan", [&](const rpc::Call&) {
      for (const auto& group : request->groups()) {
        auto* const results = response->add_groups();
        for (const auto& placement : group.placements()) {
          results->add_results()->set_job_uid(placement.job_uid());
          results->mutable_results()->rbegin()->set_attempt(1);
        }
      }
      plans.Put(*request);
      return absl::OkStatus();
    });
  }
  grpc::Status ReportNodes(grpc::ServerContext* context, const internal::v1::ReportNodesRequest*,
                           internal::v1::ReportNodesResponse*) override {
    return rpc::Unary(context, "ReportNodes", [](const rpc::Call&) { return absl::OkStatus(); });
  }
  grpc::Status ReportObservations(grpc::ServerContext* context, const internal::v1::ReportObservationsRequest*,
                                  internal::v1::ReportObservationsResponse*) override {
    return rpc::Unary(context, "ReportObservations", [](const rpc::Call&) { return absl::OkStatus(); });
  }
};

WatchWorkResponse Response(const std::vector<std::string>& jobs, const std::string& token, bool synced = false) {
  WatchWorkResponse response;
  for (const std::string& uid : jobs) {
    internal::v1::Work* const work = response.add_work();
    work->set_job_uid(uid);
    work->set_job("users/paul/experiments/1/jobs/train");
    work->set_role("train");
    work->set_state(v1::Job::PENDING);
    work->mutable_resources()->set_cpus(1);
    work->set_version(1);
  }
  response.set_resume_token(token);
  response.set_synced(synced);
  return response;
}

class GrpcApiTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-grpc-api-XXXXXX";
    dir_ = mkdtemp(pattern);
    ASSERT_TRUE(rpc::WriteCertificates(dir_, {"api", "scheduler"}, clock_.Now()).ok());
    rpc::ServerOptions options;
    options.kind = rpc::ListenerKind::kInternal;
    options.listener.set_address("127.0.0.1:0");
    options.listener.set_certificate_file(dir_ + "/api.crt");
    options.listener.set_key_file(dir_ + "/api.key");
    options.listener.set_client_ca_file(dir_ + "/ca.crt");
    options.services = {&service_};
    auto server = rpc::Server::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    config::v1::ClientTls tls;
    tls.set_ca_file(dir_ + "/ca.crt");
    tls.set_certificate_file(dir_ + "/scheduler.crt");
    tls.set_key_file(dir_ + "/scheduler.key");
    channel_ = *rpc::ServiceChannel(absl::StrCat("127.0.0.1:", server_->port()), tls);
    api_ = std::make_unique<GrpcApi>(channel_);
    api_->SetWake([this] { woken_.Put(1); });
  }
  void TearDown() override {
    api_.reset();
    server_.reset();
    std::filesystem::remove_all(dir_);
  }
  std::optional<WorkBatch> Next() {
    while (true) {
      if (auto batch = api_->TakeWork()) return batch;
      if (!woken_.Take()) return std::nullopt;
    }
  }

  const SystemClock clock_{};
  std::string dir_;
  Scheduling service_;
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  Channel<int> woken_;
  std::unique_ptr<GrpcApi> api_;
};

TEST_F(GrpcApiTest, WatchesFromTheStartAndResumesWhereItBroke) {
  service_.script.Put({{Response({"a"}, "t1"), Response({}, "t2", true)}, absl::UnavailableError("restart")});
  service_.script.Put({{Response({"b"}, "t3")}, absl::OkStatus(), true});
  api_->RestartWatch();
  auto batch = Next();
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->from_start);
  EXPECT_EQ(batch->work[0].job_uid(), "a");
  batch = Next();
  EXPECT_FALSE(batch->from_start);
  EXPECT_TRUE(batch->synced);
  batch = Next();
  EXPECT_FALSE(batch->from_start);
  EXPECT_EQ(batch->work[0].job_uid(), "b");
  EXPECT_EQ(service_.tokens.Take(), "");
  EXPECT_EQ(service_.tokens.Take(), "t2");
}

TEST_F(GrpcApiTest, ExpiredTokenBeginsFromTheStart) {
  service_.script.Put({{Response({"a"}, "t1", true)}, absl::UnavailableError("restart")});
  service_.script.Put({{}, Error(Reason::kResumeTokenExpired, "too old")});
  service_.script.Put({{Response({"b"}, "t9", true)}, absl::OkStatus(), true});
  api_->RestartWatch();
  ASSERT_TRUE(Next());
  const auto batch = Next();
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->from_start);
  EXPECT_EQ(batch->work[0].job_uid(), "b");
  service_.tokens.Take();
  EXPECT_EQ(service_.tokens.Take(), "t1");
  EXPECT_EQ(service_.tokens.Take(), "");
}

TEST_F(GrpcApiTest, RestartEndsTheOpenWatchAndForgetsItsBatches) {
  service_.script.Put({{Response({"a"}, "t1", true)}, absl::OkStatus(), true});
  api_->RestartWatch();
  ASSERT_TRUE(Next());
  service_.script.Put({{Response({"b"}, "t2", true)}, absl::OkStatus(), true});
  api_->RestartWatch();
  const auto batch = Next();
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->from_start);
  EXPECT_EQ(batch->work[0].job_uid(), "b");
  service_.tokens.Take();
  EXPECT_EQ(service_.tokens.Take(), "");
}

TEST_F(GrpcApiTest, MoreBatchesThanFitWaitTheirTurn) {
  Scheduling::Stream stream{{}, absl::OkStatus(), true};
  for (int i = 0; i < 1000; ++i) stream.responses.push_back(Response({absl::StrCat(i)}, absl::StrCat(i)));
  service_.script.Put(std::move(stream));
  api_->RestartWatch();
  for (int i = 0; i < 1000; ++i) {
    const auto batch = Next();
    ASSERT_TRUE(batch) << i;
    EXPECT_EQ(batch->work[0].job_uid(), absl::StrCat(i));
  }
}

TEST_F(GrpcApiTest, LeadershipAndItsRefusal) {
  EXPECT_EQ(*api_->AcquireLeadership("here", absl::Seconds(15), 6), 7);
  EXPECT_TRUE(HasReason(api_->AcquireLeadership("late", absl::Seconds(15), 0).status(), Reason::kNotLeader));
}

TEST_F(GrpcApiTest, ShutdownEndsAnOpenWatch) {
  service_.script.Put({{Response({"a"}, "t1", true)}, absl::OkStatus(), true});
  api_->RestartWatch();
  ASSERT_TRUE(Next());
  api_->Shutdown();
  api_->Shutdown();
  EXPECT_FALSE(api_->TakeWork());
}

class NoEnvironments final : public Environments {
 public:
  absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::ResolveEnvironmentRequest&) override {
    return absl::UnavailableError("away");
  }
  absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest&) override {
    return absl::UnavailableError("away");
  }
};

TEST_F(GrpcApiTest, LoopPlacesAJobThatArrivesAndStops) {
  FakeCluster cluster(clock_);
  const auto node = std::make_shared<FakeNode>();
  prometheus::Registry registry;
  SchedulerMetrics metrics(registry);
  NoEnvironments environments;
  Mailbox<NodeCallResult> node_calls;
  Mailbox<EnvironmentAnswer> answers;
  ThreadExecutor executor(2);
  Controller controller({.holder = "here"}, {*api_, cluster, environments, executor, executor, executor, node_calls,
                                             answers, clock_, metrics});
  Loop loop(controller, clock_);
  const auto wake = [&loop] { loop.Wake(); };
  api_->SetWake(wake);
  cluster.SetWake(wake);
  node_calls.SetWake(wake);
  answers.SetWake(wake);
  v1::Node inventory;
  inventory.set_ready(true);
  inventory.set_cpus(4);
  cluster.AddNode("local", node, inventory);
  service_.script.Put({{Response({}, "t0", true), Response({"a"}, "t1")}, absl::OkStatus(), true});
  loop.Start();
  const auto plan = service_.plans.Take();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->groups(0).placements(0).job_uid(), "a");
  EXPECT_EQ(plan->groups(0).placements(0).node(), "local");
  loop.Stop();
  executor.Stop();
  cluster.Disconnect("local");
  api_->SetWake({});
}

}  // namespace
}  // namespace riseml::scheduler
