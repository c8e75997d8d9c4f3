// BuilderService and the gitsync adapter over TLS on loopback, with a CodeService made for the test.
#include "services/builder/builder_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "services/builder/environment/directory_backend.h"
#include "services/builder/environment/interpreter.h"
#include "services/builder/environment/plan.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/python_versions.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"

namespace riseml::builder {
namespace {

using internal::v1::Environment;

class FakeCode final : public internal::v1::CodeService::Service {
 public:
  grpc::Status ReadEntries(grpc::ServerContext* context, const internal::v1::ReadEntriesRequest* request,
                           internal::v1::ReadEntriesResponse* response) override {
    return rpc::Unary(context, "riseml.internal.v1.CodeService/ReadEntries", [&](const rpc::Call&) {
      ++calls;
      for (const std::string& path : request->paths()) {
        if (path != "requirements.txt") continue;
        (*response->mutable_entries())[path].set_kind(internal::v1::CodeEntry::FILE);
        (*response->mutable_entries())[path].set_id(std::string(40, 'a'));
      }
      return absl::OkStatus();
    });
  }
  std::atomic<int> calls = 0;
};

class BuilderServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-builder-XXXXXX";
    dir_ = mkdtemp(pattern);
    ASSERT_TRUE(rpc::WriteCertificates(dir_, {"api", "builder", "gitsync", "agent"}, SystemClock().Now()).ok());
    gitsync_ = Start("gitsync", &code_);
    channel_ = *rpc::ServiceChannel(Address(*gitsync_), Tls("builder"));
    files_ = std::make_unique<GitsyncCodeFiles>(channel_);
    backend_.emplace(Installation{.environments_dir = dir_ + "/environments",
                                  .python = "/usr/bin/python3",
                                  .python_version = PythonVersion("/usr/bin/python3"),
                                  .client_dir = "",
                                  .client_digest = "",
                                  .interpreter_dirs = {}});
    resolver_ = std::make_unique<Resolver>(*files_, *backend_);
    handler_ = std::make_unique<BuilderHandler>(*resolver_, *backend_, metrics_);
    builder_ = Start("builder", handler_.get());
    request_.set_owner_uid("11111111-1111-4111-8111-111111111111");
    request_.set_project_uid("22222222-2222-4222-8222-222222222222");
    request_.set_commit(std::string(40, 'c'));
  }
  void TearDown() override {
    builder_.reset();
    gitsync_.reset();
    std::filesystem::remove_all(dir_);
  }

  std::unique_ptr<rpc::Server> Start(const std::string& name, grpc::Service* service) {
    rpc::ServerOptions options;
    options.kind = rpc::ListenerKind::kInternal;
    options.listener.set_address("127.0.0.1:0");
    options.listener.set_certificate_file(dir_ + "/" + name + ".crt");
    options.listener.set_key_file(dir_ + "/" + name + ".key");
    options.listener.set_client_ca_file(dir_ + "/ca.crt");
    options.services = {service};
    auto server = rpc::Server::Start(std::move(options));
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }
  static std::string Address(const rpc::Server& server) { return absl::StrCat("127.0.0.1:", server.port()); }
  config::v1::ClientTls Tls(const std::string& name) {
    config::v1::ClientTls tls;
    tls.set_ca_file(dir_ + "/ca.crt");
    tls.set_certificate_file(dir_ + "/" + name + ".crt");
    tls.set_key_file(dir_ + "/" + name + ".key");
    return tls;
  }
  absl::StatusOr<Environment> Resolve(const std::string& as = "api") {
    const auto channel = rpc::ServiceChannel(Address(*builder_), Tls(as));
    const auto stub = internal::v1::BuilderService::NewStub(*channel);
    return rpc::Invoke<Environment>(
        [&](auto* context, auto* response) { return stub->ResolveEnvironment(context, request_, response); },
        {.timeout = absl::Seconds(10), .tries = 1});
  }

  std::string dir_;
  internal::v1::ResolveEnvironmentRequest request_;
  FakeCode code_;
  prometheus::Registry registry_;
  BuilderMetrics metrics_{registry_};
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<GitsyncCodeFiles> files_;
  std::optional<DirectoryBackend> backend_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<BuilderHandler> handler_;
  std::unique_ptr<rpc::Server> gitsync_, builder_;
};

TEST_F(BuilderServiceTest, ReadsTheFilesOfTheCodeFromGitsync) {
  request_.add_install("pip install -r requirements.txt");
  const auto environment = Resolve();
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ(environment->state(), Environment::MISSING);
  EXPECT_EQ(code_.calls, 1);
}

TEST_F(BuilderServiceTest, GitsyncAwayIsUnavailableOnlyForStepsThatReadCode) {
  request_.add_install("pip install -r requirements.txt");
  gitsync_->Shutdown(absl::ZeroDuration());
  EXPECT_EQ(Resolve().status().code(), absl::StatusCode::kUnavailable);
  request_.clear_install();
  EXPECT_EQ(Resolve()->state(), Environment::NOT_NEEDED);
}

TEST_F(BuilderServiceTest, OtherServicesAreRefused) {
  EXPECT_EQ(Resolve("agent").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(BuilderServiceTest, StepsMakeAnEnvironmentThatIsReady) {
  request_.add_install("python -c 'import sys; assert sys.prefix != sys.base_prefix'");
  request_.add_install("mkdir -p third/models ~/nltk/__pycache__ && echo a > third/models/a && ln -s a third/models/b");
  request_.add_install("echo b > ~/nltk/b && echo c > ~/nltk/__pycache__/c && echo changed > train.py");
  const auto environment = Resolve();
  ASSERT_TRUE(environment.ok()) << environment.status();
  ASSERT_TRUE(MakeDirectories(dir_ + "/code").ok());
  ASSERT_TRUE(MakeDirectories(dir_ + "/home").ok());
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/code/train.py", "").ok());
  for (const auto& step : environment->plan().steps()) {
    const std::string line = absl::StrCat("cd ", Quote(dir_), "/code && HOME=", Quote(dir_),
                                          "/home RISEML_JOB=7.build PATH=", Quote(environment->directory().path()),
                                          "/bin:$PATH TMPDIR=", Quote(dir_), " /bin/sh -c ", Quote(step.command()));
    ASSERT_EQ(std::system(line.c_str()), 0) << step.title();
  }
  const std::string path = environment->directory().path(), sealed = *SealedPathOf(path);
  EXPECT_EQ(Resolve()->state(), Environment::MISSING) << "a node has to seal it";
  std::filesystem::rename(path, sealed);
  std::filesystem::create_symlink(sealed, path);
  const auto built = Resolve();
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(built->state(), Environment::READY);
  EXPECT_EQ(built->key(), environment->key());
  EXPECT_EQ(built->digest().size(), 64u);
  const std::string left = absl::StrCat(environment->directory().path(), "/", kLeavingsName);
  EXPECT_EQ(*ReadFile(left + "/code/third/models/b", 100), "a\n");
  EXPECT_EQ(*ReadFile(left + "/home/nltk/b", 100), "b\n");
  EXPECT_FALSE(FileExists(left + "/home/nltk/__pycache__"));
  EXPECT_FALSE(FileExists(left + "/code/train.py")) << "what the revision has is not the environment's";
  request_.add_install("one more");
  EXPECT_EQ(Resolve()->explanation().reason(), "the step `one more` is new since 7.build");
}

}  // namespace
}  // namespace riseml::builder
