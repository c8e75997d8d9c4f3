// The two implementations of the scheduler's Api that the contract suite runs on: the fake, and api itself.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"
#include "services/scheduler/controller/api/fake_api.h"
#include "services/scheduler/controller/api/grpc_api.h"

namespace riseml::scheduler {

using internal::v1::Work;

// Api with the users whose jobs it has.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Api& api() = 0;
  // UUIDs of new jobs that wait for a place.
  virtual std::string NewJob() = 0;
  virtual std::string NewBuild() = 0;
  virtual void Kill(const std::string& uid) = 0;
};

class FakeSubject final : public Subject {
 public:
  Api& api() override { return fake_; }
  std::string NewJob() override { return Add("train"); }
  std::string NewBuild() override { return Add("build"); }
  void Kill(const std::string& uid) override { fake_.Kill(uid); }

 private:
  std::string Add(const std::string& role) {
    const std::string uid = absl::StrCat("job-", ++jobs_);
    fake_.Add(uid, [&](Work& work) {
      work.set_role(role);
      if (role == "build") work.mutable_environment()->add_install("pip install six");
    });
    return uid;
  }
  FakeApi fake_;
  int jobs_ = 0;
};

class RealSubject final : public Subject {
 public:
  explicit RealSubject(api::ApiFixture& fixture) : fixture_(fixture), grpc_(fixture.ServiceChannel("scheduler")) {
    static int users = 0;
    user_ = absl::StrCat("user", ++users);
    key_ = fixture_.NewUser(user_);
    fixture_.NewRevision(user_, "digits");
  }
  ~RealSubject() override { grpc_.Shutdown(); }
  Api& api() override { return grpc_; }
  std::string NewJob() override { return Create(api::kSingle, internal::v1::Environment::READY, "train"); }
  std::string NewBuild() override { return Create(api::kInstall, internal::v1::Environment::MISSING, "build"); }
  void Kill(const std::string& uid) override {
    const auto killed = fixture_.Kill(key_, experiments_.at(uid));
    EXPECT_TRUE(killed.ok()) << killed.status();
  }

 private:
  std::string Create(const std::string& yaml, internal::v1::Environment::State state, const std::string& role) {
    fixture_.builder().Reset(state);
    const auto experiment = fixture_.Create(key_, user_, yaml);
    EXPECT_TRUE(experiment.ok()) << experiment.status();
    for (const v1::Job& job : experiment->jobs())
      if (job.role() == role) return experiments_[job.uid()] = experiment->name(), job.uid();
    ADD_FAILURE() << "no job " << role;
    return "";
  }
  api::ApiFixture& fixture_;
  GrpcApi grpc_;
  std::string user_, key_;
  std::map<std::string, std::string> experiments_;  // names by job
};

}  // namespace riseml::scheduler
