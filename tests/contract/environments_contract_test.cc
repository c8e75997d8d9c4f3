// The promises that the scheduler relies on when it asks for environments: of the fake that its own tests use, and of
// builder over TLS on loopback with a directory of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/builder/builder_service.h"
#include "services/builder/environment/directory_backend.h"
#include "services/builder/environment/plan.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"
#include "services/common/base/python_versions.h"
#include "services/common/base/status.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"
#include "services/scheduler/controller/api/grpc_api.h"
#include "services/scheduler/controller/fake_environments.h"

namespace riseml {
namespace {

using internal::v1::CacheExplanation;
using internal::v1::Environment;
using internal::v1::ResolveEnvironmentRequest;
using scheduler::Environments;

enum class Fault { kAway, kSlow, kCodeUnreadable, kDiskFull };

// Environments as a test moves them.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Environments& environments() = 0;
  // What a build of it that ends well does.
  virtual void Build(const Environment& environment) = 0;
  virtual void Remove(const std::string& key) = 0;
  virtual void Break(Fault fault) = 0;
  virtual void Mend() = 0;
};

class FakeSubject final : public Subject {
 public:
  Environments& environments() override { return fake_; }
  void Build(const Environment& environment) override { fake_.ready.insert(environment.key()); }
  void Remove(const std::string& key) override { fake_.ready.erase(key); }
  void Break(Fault fault) override {
    switch (fault) {
      case Fault::kAway:
      case Fault::kCodeUnreadable:
        fake_.status = Error(Reason::kUnavailable, "away");
        return;
      case Fault::kSlow:
        fake_.status = absl::DeadlineExceededError("slow");
        return;
      case Fault::kDiskFull:
        fake_.status = Error(Reason::kDiskFull, "full");
    }
  }
  void Mend() override { fake_.status = absl::OkStatus(); }

 private:
  scheduler::FakeEnvironments fake_;
};

// The code of a project with a requirements.txt; cannot be read while it is broken.
class BreakableCode final : public builder::CodeFiles {
 public:
  absl::StatusOr<builder::CodeEntries> Read(const std::string&, const std::string& commit,
                                            const std::vector<std::string>& paths) override {
    MutexLock lock(mu_);
    if (broken_) return Error(Reason::kUnavailable, "gitsync is away");
    builder::CodeEntries found;
    for (const std::string& path : paths) {
      if (path != "requirements.txt") continue;
      found[path].set_kind(internal::v1::CodeEntry::FILE);
      found[path].set_id(commit);
    }
    return found;
  }
  void SetBroken(bool broken) {
    MutexLock lock(mu_);
    broken_ = broken;
  }

 private:
  Mutex mu_;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
};

// A backend whose disk is full, or that answers only once it is let.
class BreakableBackend final : public builder::EnvironmentBackend {
 public:
  explicit BreakableBackend(builder::EnvironmentBackend& inner) : inner_(inner) {}

  absl::StatusOr<Environment> Resolve(const builder::WantedEnvironment& wanted) override {
    {
      MutexLock lock(mu_);
      changed_.wait(mu_, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !held_; });
      if (full_) return Error(Reason::kDiskFull, "no space is left");
    }
    return inner_.Resolve(wanted);
  }
  absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest& request) override {
    return inner_.MakeImage(request);
  }
  absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List() override { return inner_.List(); }
  absl::Status Remove(const std::string& key) override { return inner_.Remove(key); }

  void Set(bool held, bool full) {
    {
      MutexLock lock(mu_);
      held_ = held;
      full_ = full;
    }
    changed_.notify_all();
  }

 private:
  builder::EnvironmentBackend& inner_;
  Mutex mu_;
  std::condition_variable_any changed_;
  bool held_ ABSL_GUARDED_BY(mu_) = false;
  bool full_ ABSL_GUARDED_BY(mu_) = false;
};

class BuilderSubject final : public Subject {
 public:
  BuilderSubject() {
    char pattern[] = "/tmp/riseml-environments-XXXXXX";
    dir_ = mkdtemp(pattern);
    EXPECT_TRUE(rpc::WriteCertificates(dir_, {"builder", "scheduler"}, SystemClock().Now()).ok());
    directory_.emplace(builder::Installation{.environments_dir = dir_ + "/environments",
                                             .python = "/usr/bin/python3",
                                             .python_version = PythonVersion("/usr/bin/python3"),
                                             .client_dir = "",
                                             .client_digest = "",
                                             .interpreter_dirs = {}});
    backend_.emplace(*directory_);
    resolver_.emplace(code_, *backend_);
    handler_.emplace(*resolver_, *backend_, metrics_);
    StartServer();
  }
  ~BuilderSubject() override {
    backend_->Set(false, false);
    server_.reset();
    std::filesystem::remove_all(dir_);
  }

  Environments& environments() override { return *client_; }
  void Build(const Environment& environment) override {
    const std::string path = environment.directory().path(), sealed = *SealedPathOf(path);
    EXPECT_TRUE(MakeDirectories(std::filesystem::path(path).parent_path().string()).ok());
    EXPECT_TRUE(MakeDirectories(sealed).ok());
    std::filesystem::create_symlink(sealed, path);
    EXPECT_TRUE(
        WriteFileAtomically(absl::StrCat(sealed, "/", builder::kMarkerName), builder::MarkerOf(environment.key()))
            .ok());
  }
  void Remove(const std::string& key) override { EXPECT_TRUE(directory_->Remove(key).ok()); }
  void Break(Fault fault) override {
    backend_->Set(fault == Fault::kSlow, fault == Fault::kDiskFull);
    code_.SetBroken(fault == Fault::kCodeUnreadable);
    if (fault == Fault::kAway) server_->Shutdown(absl::ZeroDuration());
    if (fault == Fault::kSlow) Connect(absl::Milliseconds(100));
  }
  void Mend() override {
    backend_->Set(false, false);
    code_.SetBroken(false);
    StartServer();
  }

 private:
  void StartServer() {
    rpc::ServerOptions options;
    options.kind = rpc::ListenerKind::kInternal;
    options.listener.set_address("127.0.0.1:0");
    options.listener.set_certificate_file(dir_ + "/builder.crt");
    options.listener.set_key_file(dir_ + "/builder.key");
    options.listener.set_client_ca_file(dir_ + "/ca.crt");
    options.services = {&*handler_};
    server_.reset();
    auto server = rpc::Server::Start(std::move(options));
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    Connect(absl::Seconds(60));
  }
  void Connect(absl::Duration limit) {
    config::v1::ClientTls tls;
    tls.set_ca_file(dir_ + "/ca.crt");
    tls.set_certificate_file(dir_ + "/scheduler.crt");
    tls.set_key_file(dir_ + "/scheduler.key");
    const auto channel = rpc::ServiceChannel(absl::StrCat("127.0.0.1:", server_->port()), tls);
    EXPECT_TRUE(channel.ok()) << channel.status();
    client_ = std::make_unique<scheduler::GrpcEnvironments>(*channel, limit);
  }

  std::string dir_;
  BreakableCode code_;
  prometheus::Registry registry_;
  builder::BuilderMetrics metrics_{registry_};
  std::optional<builder::DirectoryBackend> directory_;
  std::optional<BreakableBackend> backend_;
  std::optional<builder::Resolver> resolver_;
  std::optional<builder::BuilderHandler> handler_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<Environments> client_;
};

struct SubjectCase {
  std::string name;
  std::function<std::unique_ptr<Subject>()> make;
};

class EnvironmentsContract : public testing::TestWithParam<SubjectCase> {
 protected:
  static ResolveEnvironmentRequest Request(const std::string& step) {
    ResolveEnvironmentRequest request;
    request.set_owner_uid("11111111-1111-4111-8111-111111111111");
    request.set_project_uid("22222222-2222-4222-8222-222222222222");
    request.set_commit(std::string(40, 'c'));
    if (!step.empty()) request.add_install(step);
    return request;
  }
  static ResolveEnvironmentRequest Rebuild(ResolveEnvironmentRequest request) {
    request.set_rebuild("33333333-3333-4333-8333-333333333333");
    return request;
  }
  absl::StatusOr<Environment> Ask(const ResolveEnvironmentRequest& request) {
    return subject_->environments().Resolve(request);
  }
  Environment Resolve(const ResolveEnvironmentRequest& request) {
    const auto environment = Ask(request);
    EXPECT_TRUE(environment.ok()) << environment.status();
    return environment.value_or(Environment());
  }

  const std::unique_ptr<Subject> subject_ = GetParam().make();
};

TEST_P(EnvironmentsContract, NothingToInstallNeedsNone) {
  const Environment environment = Resolve(Request(""));
  EXPECT_EQ(environment.state(), Environment::NOT_NEEDED);
  EXPECT_EQ(environment.key(), "");
  EXPECT_EQ(environment.location_case(), Environment::LOCATION_NOT_SET);
  EXPECT_FALSE(environment.has_plan() || environment.has_explanation());
}

TEST_P(EnvironmentsContract, AMissingOneComesWithItsPlanAndTheReason) {
  const Environment environment = Resolve(Request("pip install six"));
  EXPECT_EQ(environment.state(), Environment::MISSING);
  EXPECT_GT(environment.plan().steps_size(), 0);
  for (const auto& step : environment.plan().steps()) EXPECT_NE(step.title(), "");
  EXPECT_NE(environment.key(), "");
  EXPECT_NE(environment.location_case(), Environment::LOCATION_NOT_SET);
  EXPECT_EQ(environment.digest(), "") << "nothing is there";
  EXPECT_EQ(environment.explanation().decision(), CacheExplanation::BUILT_FIRST_TIME);
  EXPECT_NE(environment.explanation().reason(), "");
}

TEST_P(EnvironmentsContract, AfterItsBuildItIsReadyWithTheSameKeyAndPlace) {
  const Environment missing = Resolve(Request("pip install six"));
  subject_->Build(missing);
  const Environment ready = Resolve(Request("pip install six"));
  EXPECT_EQ(ready.state(), Environment::READY);
  EXPECT_EQ(ready.key(), missing.key());
  EXPECT_EQ(ready.directory().path(), missing.directory().path());
  EXPECT_FALSE(ready.has_plan());
  EXPECT_NE(ready.digest(), "");
  EXPECT_EQ(ready.explanation().decision(), CacheExplanation::REUSED);
  EXPECT_EQ(ready.explanation().reason(), "");
  EXPECT_EQ(Resolve(Request("pip install six")).digest(), ready.digest());
}

TEST_P(EnvironmentsContract, KeysFollowWhatIsAskedForAndTheOwner) {
  const ResolveEnvironmentRequest request = Request("pip install six");
  const std::string key = Resolve(request).key();
  EXPECT_EQ(Resolve(request).key(), key);
  EXPECT_NE(Resolve(Request("pip install numpy")).key(), key);
  ResolveEnvironmentRequest other = request;
  other.set_owner_uid("44444444-4444-4444-8444-444444444444");
  EXPECT_NE(Resolve(other).key(), key);
  other = request;
  other.add_install("pip install numpy");
  EXPECT_NE(Resolve(other).key(), key);
  other = request;
  other.set_framework("tensorflow");
  EXPECT_NE(Resolve(other).key(), key);
  other = request;
  other.set_commit(std::string(40, 'd'));
  EXPECT_EQ(Resolve(other).key(), key) << "its steps read nothing of the code";
  other.set_project_uid("55555555-5555-4555-8555-555555555555");
  EXPECT_EQ(Resolve(other).key(), key) << "projects of one owner share environments";
}

TEST_P(EnvironmentsContract, AnotherOneOfTheProjectIsAChange) {
  subject_->Build(Resolve(Request("pip install six")));
  EXPECT_EQ(Resolve(Request("pip install six")).state(), Environment::READY);
  EXPECT_EQ(Resolve(Request("pip install numpy")).explanation().decision(), CacheExplanation::CHANGED);
  ResolveEnvironmentRequest other_project = Request("pip install numpy");
  other_project.set_project_uid("55555555-5555-4555-8555-555555555555");
  EXPECT_EQ(Resolve(other_project).explanation().decision(), CacheExplanation::BUILT_FIRST_TIME);
}

TEST_P(EnvironmentsContract, ARebuildTakesThePlaceOfTheUsualOneOnceItIsThere) {
  const ResolveEnvironmentRequest request = Request("pip install six");
  subject_->Build(Resolve(request));
  const Environment usual = Resolve(request);
  const Environment anew = Resolve(Rebuild(request));
  EXPECT_EQ(anew.state(), Environment::MISSING);
  EXPECT_NE(anew.key(), usual.key());
  EXPECT_EQ(anew.explanation().decision(), CacheExplanation::REBUILD_REQUESTED);
  EXPECT_EQ(Resolve(request).key(), usual.key());
  subject_->Build(anew);
  EXPECT_EQ(Resolve(Rebuild(request)).state(), Environment::READY);
  EXPECT_EQ(Resolve(request).key(), anew.key());
  subject_->Remove(anew.key());
  EXPECT_EQ(Resolve(request).key(), usual.key());
}

TEST_P(EnvironmentsContract, OneThatIsRemovedHasVanishedAndIsBuiltAgain) {
  const ResolveEnvironmentRequest request = Request("pip install six");
  subject_->Build(Resolve(request));
  const Environment ready = Resolve(request);
  subject_->Remove(ready.key());
  const Environment vanished = Resolve(request);
  EXPECT_EQ(vanished.state(), Environment::MISSING);
  EXPECT_EQ(vanished.key(), ready.key());
  EXPECT_GT(vanished.plan().steps_size(), 0);
  EXPECT_EQ(vanished.explanation().decision(), CacheExplanation::VANISHED);
  subject_->Build(vanished);
  EXPECT_EQ(Resolve(request).state(), Environment::READY);
}

TEST_P(EnvironmentsContract, WhatCanNeverBeIsAnInvalidArgument) {
  ResolveEnvironmentRequest request = Request("pip install six");
  request.set_framework("mytensor");
  EXPECT_EQ(Ask(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(EnvironmentsContract, AFaultIsAnErrorAndTheNextQuestionIsAnswered) {
  const ResolveEnvironmentRequest request = Request("pip install -r requirements.txt");
  const struct {
    Fault fault;
    absl::StatusCode code;
  } faults[] = {{Fault::kCodeUnreadable, absl::StatusCode::kUnavailable},
                {Fault::kAway, absl::StatusCode::kUnavailable},
                {Fault::kSlow, absl::StatusCode::kDeadlineExceeded},
                {Fault::kDiskFull, absl::StatusCode::kResourceExhausted}};
  for (const auto& [fault, code] : faults) {
    subject_->Break(fault);
    const absl::Status broken = Ask(request).status();
    EXPECT_EQ(broken.code(), code) << broken;
    EXPECT_EQ(HasReason(broken, Reason::kDiskFull), fault == Fault::kDiskFull) << broken;
    subject_->Mend();
    EXPECT_EQ(Resolve(request).state(), Environment::MISSING);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EnvironmentsContract,
                         testing::Values(SubjectCase{"Fake", [] { return std::unique_ptr<Subject>(new FakeSubject); }},
                                         SubjectCase{"Builder",
                                                     [] { return std::unique_ptr<Subject>(new BuilderSubject); }}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace riseml
