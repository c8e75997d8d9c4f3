// The controller among fakes of api, builder and nodes, with a clock moved by hand; for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/scheduler/cluster/fake_cluster.h"
#include "services/scheduler/controller/api/fake_api.h"
#include "services/scheduler/controller/controller.h"
#include "services/scheduler/controller/fake_environments.h"

namespace riseml::scheduler {

using internal::v1::Environment;
using internal::v1::Observation;
using internal::v1::Work;

// Runs tasks at once, or holds them while `held` is set.
class HeldExecutor final : public Executor {
 public:
  void Run(std::function<void()> task) override {
    if (!held) return task();
    tasks.push_back(std::move(task));
  }
  void Release() {
    held = false;
    for (const auto& task : std::exchange(tasks, {})) task();
  }
  bool held = false;
  std::vector<std::function<void()>> tasks;
};

struct World {
  World() { Start(); }
  ~World() { cluster.Disconnect("local"); }

  // Starts a new process: only the outside survives.
  void Start() {
    controller.reset();
    node_calls.Take();
    answers.Take();
    cluster.Restart();
    controller = std::make_unique<Controller>(
        ControllerOptions{.holder = "here", .impossible_after = impossible_after},
        Ports{api, cluster, environments, executor, builder, executor, node_calls, answers, clock, metrics});
  }
  // Makes passes until nothing more happens without the clock moving.
  void Settle() {
    for (int i = 0; i < 100; ++i)
      if (controller->Pass() > clock.Now()) {
        const int calls = api.calls();
        const auto version = cluster.Read(0).version;
        controller->Pass();
        if (api.calls() == calls && cluster.Read(0).version == version) return;
      }
    ADD_FAILURE() << "does not come to rest";
  }
  void Advance(absl::Duration by) {
    clock.Advance(by);
    cluster.Hear("local");
    Settle();
  }
  void Add(const std::string& uid, const std::function<void(Work&)>& change = {}) {
    api.Add(uid, change);
    Settle();
  }
  static std::function<void(Work&)> Build(const std::string& install) {
    return [install](Work& work) {
      work.set_role("build");
      work.set_job(work.job().substr(0, work.job().size() - 5) + "build");
      work.mutable_environment()->add_install(install);
    };
  }
  static std::function<void(Work&)> Install(const std::string& install) {
    return [install](Work& work) { work.mutable_environment()->add_install(install); };
  }
  std::vector<std::string> Events(const std::string& uid) const {
    std::vector<std::string> events;
    for (const Observation& o : api.observations())
      if (o.job_uid() == uid) events.push_back(absl::StrCat(Observation::Event_Name(o.event()), " ", o.attempt()));
    return events;
  }

  absl::Duration impossible_after = absl::Minutes(10);
  FakeClock clock;
  FakeApi api;
  FakeEnvironments environments;
  InlineExecutor executor;
  HeldExecutor builder;
  Mailbox<NodeCallResult> node_calls;
  Mailbox<EnvironmentAnswer> answers;
  prometheus::Registry registry;
  SchedulerMetrics metrics{registry};
  std::shared_ptr<FakeNode> node = std::make_shared<FakeNode>();
  FakeCluster cluster{clock};
  std::unique_ptr<Controller> controller;
};

inline v1::Node Inventory(double cpus, int gpus = 0) {
  v1::Node node;
  node.set_name("nodes/local");
  node.set_ready(true);
  node.set_cpus(cpus);
  node.set_memory_bytes(64'000'000'000);
  for (int i = 0; i < gpus; ++i) {
    node.add_gpus()->set_uuid(absl::StrCat("GPU-", i));
    node.mutable_gpus(i)->set_index(i);
  }
  return node;
}

class ControllerTest : public testing::Test {
 protected:
  void SetUp() override {
    w_.cluster.AddNode("local", w_.node, Inventory(4, 2));
    w_.Settle();
  }
  World w_;
};

}  // namespace riseml::scheduler
