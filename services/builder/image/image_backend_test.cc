// Environments that are images of a real registry.
#include "services/builder/image/image_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/builder/image/image_fixture.h"
#include "services/builder/image/registry_access.h"
#include "services/common/oci/curl_http.h"
#include "services/common/oci/testing/registry_server.h"
#include "services/common/rpc/certificates.h"

namespace riseml::builder {
namespace {

using internal::v1::CacheExplanation;
using internal::v1::Environment;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kOwner[] = "11111111-1111-4111-8111-111111111111";
constexpr char kProject[] = "22222222-2222-4222-8222-222222222222";
constexpr char kRebuild[] = "33333333-3333-4333-8333-333333333333";

class ImageBackendTest : public ::testing::Test {
 protected:
  ImageBackendTest() {
    char pattern[] = "/tmp/riseml-image-backend-XXXXXX";
    dir_ = mkdtemp(pattern);
    PutImage(registry_, "library/python", "3.11");
    code_.commits = {{std::string(40, 'c'), {"print(1)"}}};
  }
  ~ImageBackendTest() override { std::filesystem::remove_all(dir_); }

  std::string Python() const { return absl::StrCat(server_.host(), "/library/python:3.11"); }
  WantedEnvironment Wanted(std::vector<std::string> install = {"pip install numpy"}) const {
    return {.owner_uid = kOwner, .project_uid = kProject, .install = std::move(install), .image = Python()};
  }
  ImageBackend Backend() {
    return ImageBackend(
        {.default_image = Python(),
         .environments_dir = dir_,
         .policy = {.without_tls = {server_.host()}},
         .plain_http = true},
        {bases_, environments_, maker_, *tokens_, [this](const std::string& owner, const std::string& host) {
           asked_.push_back(absl::StrCat(owner, " ", host));
           return credential_;
         }});
  }
  // Does what the build of a missing environment does.
  oci::Descriptor Build(const Environment& environment, const std::string& created = "2026-01-01T00:00:00Z") {
    return PutImage(registry_, EnvironmentImages::RepositoryOf(kOwner), environment.key(),
                    {.content = environment.key(), .created = created, .labels = {{kKeyLabel, environment.key()}}});
  }

  std::string dir_;
  const SystemClock clock_{};
  const rpc::Certificate ca_ = rpc::MakeCa("tokens", clock_.Now()).value();
  const rpc::Certificate own_ = rpc::IssueCertificate(ca_, "tokens", clock_.Now()).value();
  const std::unique_ptr<RegistryTokens> tokens_ =
      RegistryTokens::Create(own_.key_pem, own_.certificate_pem, clock_).value();
  oci::testing::RegistryServer server_;
  oci::CurlHttp http_{{.private_hosts = {server_.host()}}};
  oci::Registry registry_{http_, clock_, {.host = server_.host(), .plain_http = true, .tries = 1}};
  FakeCode code_;
  ImageMaker maker_{registry_, code_, SpoolDirectory()};
  BaseImages bases_{http_, clock_, {.without_tls = {server_.host()}}, oci::OwnPlatform()};
  EnvironmentImages environments_{registry_};
  absl::StatusOr<std::optional<oci::Credential>> credential_ = std::optional<oci::Credential>();
  std::vector<std::string> asked_;
};

TEST_F(ImageBackendTest, AMissingImageIsBuiltAndThenUsed) {
  ImageBackend backend = Backend();
  const absl::StatusOr<Environment> missing = backend.Resolve(Wanted());
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_EQ(missing->state(), Environment::MISSING);
  EXPECT_EQ(missing->explanation().decision(), CacheExplanation::BUILT_FIRST_TIME);
  EXPECT_EQ(missing->image().reference(), absl::StrCat(server_.host(), "/", kOwner, "/environments:", missing->key()));
  EXPECT_THAT(missing->base_image(), StartsWith(Python() + "@sha256:"));
  EXPECT_EQ(missing->plan().steps_size(), 3);

  const oci::Descriptor built = Build(*missing);
  const absl::StatusOr<Environment> ready = backend.Resolve(Wanted());
  ASSERT_TRUE(ready.ok()) << ready.status();
  EXPECT_EQ(ready->state(), Environment::READY);
  EXPECT_EQ(ready->key(), missing->key());
  EXPECT_EQ(ready->digest(), built.digest);
  EXPECT_EQ(ready->image().reference(), absl::StrCat(server_.host(), "/", kOwner, "/environments@", built.digest));
}

TEST_F(ImageBackendTest, AnImageWithoutStepsIsAnEnvironmentToo) {
  WantedEnvironment wanted = Wanted({});
  wanted.image = "";
  const absl::StatusOr<Environment> environment = Backend().Resolve(wanted);
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ(environment->state(), Environment::MISSING);
  EXPECT_THAT(environment->base_image(), StartsWith(Python())) << "the default";
}

TEST_F(ImageBackendTest, TheBaseStaysWhatItWasAtTheCreation) {
  ImageBackend backend = Backend();
  WantedEnvironment wanted = Wanted();
  const Environment before = backend.Resolve(wanted).value();
  PutImage(registry_, "library/python", "3.11", {.content = "a newer python"});
  const Environment newer = backend.Resolve(wanted).value();
  EXPECT_NE(newer.key(), before.key());
  wanted.base_image = before.base_image();
  EXPECT_EQ(backend.Resolve(wanted)->key(), before.key());
  Build(before);
  ASSERT_EQ(backend.Resolve(wanted)->state(), Environment::READY);
  EXPECT_EQ(backend.Resolve(Wanted())->explanation().reason(),
            absl::StrCat("the base image ", Python(), " has changed since environment ", before.key().substr(0, 8),
                         " was built"));
}

TEST_F(ImageBackendTest, ARebuiltImageReplacesTheOneOfItsInputs) {
  ImageBackend backend = Backend();
  const Environment first = backend.Resolve(Wanted()).value();
  const oci::Descriptor old = Build(first);
  WantedEnvironment anew = Wanted();
  anew.rebuild = kRebuild;
  const Environment rebuilt = backend.Resolve(anew).value();
  EXPECT_EQ(rebuilt.state(), Environment::MISSING);
  EXPECT_EQ(rebuilt.explanation().decision(), CacheExplanation::REBUILD_REQUESTED);
  EXPECT_EQ(backend.Resolve(Wanted())->digest(), old.digest) << "until the other one is built";
  const oci::Descriptor fresh = Build(rebuilt, "2026-02-01T00:00:00Z");
  ASSERT_EQ(backend.Resolve(anew)->state(), Environment::READY);
  const Environment used = backend.Resolve(Wanted()).value();
  EXPECT_EQ(used.key(), rebuilt.key());
  EXPECT_EQ(used.digest(), fresh.digest);

  // A rebuild that was slower than a later one does not come back.
  anew.rebuild = "44444444-4444-4444-8444-444444444444";
  const Environment late = backend.Resolve(anew).value();
  Build(late, "2026-01-15T00:00:00Z");
  ASSERT_EQ(backend.Resolve(anew)->state(), Environment::READY);
  EXPECT_EQ(backend.Resolve(Wanted())->digest(), fresh.digest);
}

TEST_F(ImageBackendTest, ImagesAreListedAndRemoved) {
  ImageBackend backend = Backend();
  const Environment environment = backend.Resolve(Wanted()).value();
  const oci::Descriptor built = Build(environment);
  // Another image in the place of one: it hides no other.
  PutImage(registry_, EnvironmentImages::RepositoryOf(kRebuild), std::string(64, 'a'), {.content = "x"});
  const auto stored = backend.List();
  ASSERT_TRUE(stored.ok()) << stored.status();
  ASSERT_EQ(stored->size(), 2U);
  const auto& one = (*stored)[0].key() == environment.key() ? (*stored)[0] : (*stored)[1];
  EXPECT_EQ(one.digest(), built.digest);
  EXPECT_TRUE(one.complete());
  EXPECT_GT(one.bytes(), 0);
  EXPECT_EQ(one.change_time().seconds(), 1'767'225'600);
  ASSERT_TRUE(backend.Remove(environment.key()).ok());
  ASSERT_TRUE(backend.Remove(environment.key()).ok()) << "again";
  EXPECT_EQ(backend.List()->size(), 1U);
  EXPECT_EQ(backend.Resolve(Wanted())->state(), Environment::MISSING);
  EXPECT_FALSE(backend.Remove("../x").ok());
}

TEST_F(ImageBackendTest, TheImageOfAJobHasTheCode) {
  ImageBackend backend = Backend();
  const Environment environment = backend.Resolve(Wanted()).value();
  internal::v1::MakeImageRequest request;
  request.set_owner_uid(kOwner);
  request.set_project_uid(kProject);
  request.set_environment_key(environment.key());
  request.set_commit(std::string(40, 'c'));
  EXPECT_TRUE(absl::IsNotFound(backend.MakeImage(request).status())) << "not built yet";
  Build(environment);
  const auto image = backend.MakeImage(request);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_THAT(image->reference(), StartsWith(absl::StrCat(server_.host(), "/", kOwner, "/", kProject, "@sha256:")));
  EXPECT_TRUE(image->plain_http());
  EXPECT_THAT(tokens_->Verify(image->password()).value(),
              ::testing::ElementsAre(RepositoryAccess{absl::StrCat(kOwner, "/", kProject), {"pull"}}));
  request.set_commit(std::string(40, 'd'));
  EXPECT_TRUE(absl::IsNotFound(backend.MakeImage(request).status()));

  // It goes with its environment; what its user has pushed beside it stays.
  const std::string repository = absl::StrCat(kOwner, "/", kProject);
  PutImage(registry_, repository, "mine", {.content = "own"});
  EXPECT_EQ(registry_.ListTags(repository, 10)->size(), 2U);
  ASSERT_TRUE(backend.Remove(environment.key()).ok());
  EXPECT_THAT(registry_.ListTags(repository, 10).value(), ::testing::ElementsAre("mine"));
  request.set_commit("HEAD");
  EXPECT_TRUE(absl::IsInvalidArgument(backend.MakeImage(request).status()));
}

TEST_F(ImageBackendTest, ImagesOfOtherUsersAreNoBase) {
  PutImage(registry_, absl::StrCat(kRebuild, "/secret"), "1");
  PutImage(registry_, absl::StrCat(kOwner, "/mine"), "1");
  WantedEnvironment wanted = Wanted();
  wanted.image = absl::StrCat(server_.host(), "/", kRebuild, "/secret:1");
  EXPECT_TRUE(absl::IsNotFound(Backend().Resolve(wanted).status()));
  wanted.image = absl::StrCat(server_.host(), "/", kOwner, "/mine:1");
  EXPECT_TRUE(Backend().Resolve(wanted).ok());
}

TEST_F(ImageBackendTest, ABaseImageIsReadWithTheCredentialOfItsOwnerForItsRegistry) {
  const oci::testing::RegistryServer foreign;
  oci::CurlHttp http({.private_hosts = {foreign.host()}});
  oci::Registry registry(http, clock_, {.host = foreign.host(), .plain_http = true});
  PutImage(registry, "team/base", "1");
  BaseImages bases(http, clock_, {.without_tls = {foreign.host()}}, oci::OwnPlatform(), &registry_);
  credential_ = std::optional<oci::Credential>({"ann", "s3cr3t"});
  ImageBackend backend(
      {.default_image = "", .environments_dir = dir_, .policy = {.without_tls = {foreign.host()}}},
      {bases, environments_, maker_, *tokens_, [this](const std::string& owner, const std::string& host) {
         asked_.push_back(absl::StrCat(owner, " ", host));
         return credential_;
       }});
  WantedEnvironment wanted = Wanted();
  wanted.image = foreign.host() + "/team/base:1";
  const absl::StatusOr<Environment> environment = backend.Resolve(wanted);
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_THAT(asked_, ::testing::Each(absl::StrCat(kOwner, " ", foreign.host())));
  EXPECT_THAT(environment->plan().steps(0).command(), HasSubstr(foreign.host()));
  EXPECT_THAT(environment->plan().steps(1).command(), HasSubstr(" --tls-verify=false "));
  credential_ = absl::UnavailableError("api is away");
  EXPECT_TRUE(absl::IsUnavailable(backend.Resolve(wanted).status()));
}

TEST_F(ImageBackendTest, RefusesAnImageThatCouldNotBeStacked) {
  PutImage(registry_, "library/base", "1");
  WantedEnvironment wanted = Wanted();
  wanted.image = absl::StrCat(server_.host(), "/library/base:1");
  wanted.install.assign(oci::kMaxLayers - 3, "true");
  EXPECT_TRUE(Backend().Resolve(wanted).ok());
  wanted.install.emplace_back("true");
  const absl::Status refused = Backend().Resolve(wanted).status();
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("has 1 layers; with those of 125 install steps and of the code there are at least 128"));
}

TEST_F(ImageBackendTest, SaysWhyThereIsNoImage) {
  WantedEnvironment wanted = Wanted();
  wanted.image = absl::StrCat(server_.host(), "/library/python:9");
  EXPECT_THAT(std::string(Backend().Resolve(wanted).status().message()), HasSubstr("python:9 not found"));
  wanted.image = "not an image";
  EXPECT_TRUE(absl::IsInvalidArgument(Backend().Resolve(wanted).status()));
}

class FakeUsers final : public rpc::Authenticator {
 public:
  absl::StatusOr<internal::v1::Caller> Authenticate(absl::string_view credential) override {
    if (credential != "ann's key" && credential != "job's token") return absl::UnauthenticatedError("unknown key");
    internal::v1::Caller caller;
    caller.set_kind(credential == "ann's key" ? internal::v1::Caller::USER : internal::v1::Caller::JOB);
    caller.set_user("ann");
    caller.set_user_uid(kOwner);
    return caller;
  }
};

TEST_F(ImageBackendTest, EverybodyGetsTheirOwnRightsOnly) {
  FakeUsers users;
  const RepositoryAccess own{absl::StrCat(kOwner, "/x"), {"pull", "push"}}, foreign{"other/x", {"pull"}};
  const auto granted = [&](const std::string& username, const std::string& password) {
    const auto grant = GrantAccess({username, password, {own, foreign}}, *tokens_, users);
    return grant.ok() ? grant->access : std::vector<RepositoryAccess>{{"refused", {}}};
  };
  const std::vector<RepositoryAccess> nothing, refused = {{"refused", {}}};
  EXPECT_EQ(granted("", ""), nothing);
  EXPECT_EQ(granted("ann", "ann's key"), std::vector<RepositoryAccess>{own});
  EXPECT_EQ(granted("bob", "ann's key"), refused);
  EXPECT_EQ(granted("ann", "job's token"), refused);
  EXPECT_EQ(granted("ann", "guess"), refused);
  const std::string token = tokens_->Make("x", {{own.repository, {"pull"}}}, absl::Minutes(1)).value();
  EXPECT_EQ(granted("node", token), (std::vector<RepositoryAccess>{{own.repository, {"pull"}}}));
  EXPECT_EQ(granted("build", "guess"), refused);
}

}  // namespace
}  // namespace riseml::builder
