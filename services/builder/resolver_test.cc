#include "services/builder/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "services/builder/code_files_fixture.h"
#include "services/builder/environment/directory_backend.h"
#include "services/builder/environment/plan.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml::builder {
namespace {

using internal::v1::CacheExplanation;
using internal::v1::Environment;
using internal::v1::ResolveEnvironmentRequest;
using testing::HasSubstr;

class ResolverTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-resolver-XXXXXX";
    dir_ = mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  static ResolveEnvironmentRequest Request(std::vector<std::string> install) {
    ResolveEnvironmentRequest request;
    request.set_owner_uid("11111111-1111-4111-8111-111111111111");
    request.set_project_uid("22222222-2222-4222-8222-222222222222");
    request.set_commit(std::string(40, 'c'));
    for (const std::string& step : install) request.add_install(step);
    return request;
  }
  absl::StatusOr<Environment> Resolve(const ResolveEnvironmentRequest& request,
                                      absl::StatusOr<std::string> version = std::string("cpython 3.11.2 x86_64")) {
    DirectoryBackend backend({.environments_dir = dir_,
                              .python = "/usr/bin/python3",
                              .python_version = std::move(version),
                              .client_dir = "",
                              .client_digest = "",
                              .interpreter_dirs = {}});
    return Resolver(files_, backend).Resolve(request);
  }
  void Seal(const Environment& environment, absl::string_view marker) {
    const std::string path = environment.directory().path(), sealed = *SealedPathOf(path);
    if (!std::filesystem::is_symlink(path)) {
      ASSERT_TRUE(MakeDirectories(path).ok());
      std::filesystem::rename(path, sealed);
      std::filesystem::create_symlink(sealed, path);
    }
    ASSERT_TRUE(WriteFileAtomically(sealed + "/" + std::string(kMarkerName), marker).ok());
  }

  std::string dir_;
  FakeFiles files_;
};

TEST_F(ResolverTest, NothingToInstallNeedsNoEnvironmentAndNoInterpreter) {
  const auto environment = Resolve(Request({}), absl::FailedPreconditionError("no python"));
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ(environment->state(), Environment::NOT_NEEDED);
  EXPECT_EQ(environment->key(), "");
}

TEST_F(ResolverTest, MissingEnvironmentComesWithItsSteps) {
  const auto environment = Resolve(Request({"pip install -r requirements.txt"}));
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ(environment->state(), Environment::MISSING);
  EXPECT_EQ(environment->directory().path(), dir_ + "/11111111-1111-4111-8111-111111111111/work/" + environment->key());
  EXPECT_EQ(environment->plan().steps_size(), 4);
}

TEST_F(ResolverTest, SealedEnvironmentIsReady) {
  const ResolveEnvironmentRequest request = Request({"pip install numpy"});
  const auto missing = Resolve(request);
  Seal(*missing, MarkerOf(missing->key()));
  EXPECT_EQ(Resolve(request)->state(), Environment::READY);
  EXPECT_FALSE(Resolve(request)->has_plan());
}

TEST_F(ResolverTest, DirectoryWithoutItsMarkerIsMissing) {
  const ResolveEnvironmentRequest request = Request({"pip install numpy"});
  const auto missing = Resolve(request);
  ASSERT_TRUE(MakeDirectories(missing->directory().path()).ok());
  EXPECT_EQ(Resolve(request)->state(), Environment::MISSING);
  Seal(*missing, MarkerOf(std::string(64, '0')));
  EXPECT_EQ(Resolve(request)->state(), Environment::MISSING);
}

TEST_F(ResolverTest, KeyFollowsTheFilesStepsReadAndNotTheCommit) {
  ResolveEnvironmentRequest request = Request({"pip install -r requirements.txt"});
  const std::string before = Resolve(request)->key();
  request.set_commit(std::string(40, 'd'));
  EXPECT_EQ(Resolve(request)->key(), before);
  files_.ids["requirements.txt"] = std::string(40, 'b');
  EXPECT_NE(Resolve(request)->key(), before);
}

TEST_F(ResolverTest, KeyFollowsTheCommitWhenAStepReadsTheTree) {
  for (const char* step : {"pip install .", "bash setup.sh"}) {
    ResolveEnvironmentRequest request = Request({step});
    const std::string before = Resolve(request)->key();
    request.set_commit(std::string(40, 'd'));
    EXPECT_NE(Resolve(request)->key(), before) << step;
  }
}

// Prefix keys of the install steps.
std::vector<std::string> KeysOfInstalls(const Environment& environment) {
  std::vector<std::string> keys;
  for (int i = 1; i < environment.plan().steps_size() - 2; ++i)
    keys.push_back(environment.plan().steps(i).prefix_key());
  return keys;
}

TEST_F(ResolverTest, AStepKeepsItsPrefixKeyWhileNothingChangesThatItOrAnEarlierOneReads) {
  files_.ids = {{"a.txt", std::string(40, 'a')}, {"c.txt", std::string(40, 'c')}};
  const std::vector<std::string> steps = {"pip install -r a.txt", "pip install six", "pip install -r c.txt"};
  const std::vector<std::string> before = KeysOfInstalls(*Resolve(Request(steps)));
  ASSERT_EQ(before.size(), 3u);

  files_.ids["c.txt"] = std::string(40, 'd');
  const std::vector<std::string> last_file = KeysOfInstalls(*Resolve(Request(steps)));
  EXPECT_EQ(last_file[0], before[0]);
  EXPECT_EQ(last_file[1], before[1]);
  EXPECT_NE(last_file[2], before[2]);

  const std::vector<std::string> last_text = KeysOfInstalls(*Resolve(Request({steps[0], steps[1], "bash setup.sh"})));
  EXPECT_EQ(last_text[0], before[0]);
  EXPECT_EQ(last_text[1], before[1]);
  EXPECT_NE(last_text[2], before[2]);

  files_.ids["a.txt"] = std::string(40, 'b');
  const std::vector<std::string> first_file = KeysOfInstalls(*Resolve(Request(steps)));
  for (int i = 0; i < 3; ++i) EXPECT_NE(first_file[i], before[i]) << i;
}

TEST_F(ResolverTest, ARebuildHasThePrefixKeysOfAllAndUsesNothingKept) {
  ResolveEnvironmentRequest request = Request({"pip install numpy"});
  const Environment usual = *Resolve(request);
  request.set_rebuild("33333333-3333-4333-8333-333333333333");
  const Environment anew = *Resolve(request);
  EXPECT_EQ(KeysOfInstalls(anew), KeysOfInstalls(usual));
  for (const auto& step : usual.plan().steps()) EXPECT_FALSE(step.anew());
  for (const auto& step : anew.plan().steps()) EXPECT_TRUE(step.anew());
}

TEST_F(ResolverTest, RebuiltEnvironmentReplacesTheOldOne) {
  ResolveEnvironmentRequest request = Request({"pip install numpy"});
  const Environment old = *Resolve(request);
  Seal(old, MarkerOf(old.key()));
  ResolveEnvironmentRequest anew = request;
  anew.set_rebuild("33333333-3333-4333-8333-333333333333");
  const Environment fresh = *Resolve(anew);
  EXPECT_EQ(fresh.state(), Environment::MISSING);
  EXPECT_NE(fresh.key(), old.key());
  EXPECT_EQ(Resolve(request)->key(), old.key()) << "until it is there";
  Seal(fresh, MarkerOf(fresh.key()));
  EXPECT_EQ(Resolve(anew)->state(), Environment::READY);
  EXPECT_EQ(Resolve(request)->key(), fresh.key());
  EXPECT_TRUE(StoredEnvironments(dir_).Remove(fresh.key()).ok());
  EXPECT_EQ(Resolve(request)->key(), old.key());
}

TEST_F(ResolverTest, AnEnvironmentBuiltDuringARebuildIsUsed) {
  ResolveEnvironmentRequest request = Request({"pip install numpy"});
  ResolveEnvironmentRequest anew = request;
  anew.set_rebuild("33333333-3333-4333-8333-333333333333");
  const Environment rebuilt = *Resolve(anew), usual = *Resolve(request);
  Seal(rebuilt, MarkerOf(rebuilt.key()));
  ASSERT_EQ(Resolve(anew)->state(), Environment::READY);
  Seal(usual, MarkerOf(usual.key()));
  EXPECT_EQ(Resolve(request)->key(), usual.key());
  ASSERT_EQ(Resolve(anew)->key(), rebuilt.key());
  EXPECT_EQ(Resolve(request)->key(), usual.key()) << "the older one does not come back";
}

TEST_F(ResolverTest, ABuildIsExplainedByTheEnvironmentThatTheProjectUsedLast) {
  const ResolveEnvironmentRequest request = Request({"pip install -r requirements.txt"});
  const Environment first = *Resolve(request);
  EXPECT_EQ(first.explanation().decision(), CacheExplanation::BUILT_FIRST_TIME);
  Seal(first, MarkerOf(first.key()));
  ASSERT_TRUE(WriteFileAtomically(first.directory().path() + "/" + std::string(kBuiltByName), "12.build").ok());
  ASSERT_EQ(Resolve(request)->explanation().decision(), CacheExplanation::REUSED);
  files_.ids["requirements.txt"] = std::string(40, 'b');
  const Environment changed = *Resolve(request);
  EXPECT_EQ(changed.explanation().reason(), "requirements.txt has changed since 12.build");
  EXPECT_THAT(changed.plan().steps(0).command(),
              HasSubstr("It is built, as requirements.txt has changed since 12.build"));
  EXPECT_THAT(changed.plan().steps(0).reuse_command(), HasSubstr("It is built, as "));
  ASSERT_TRUE(StoredEnvironments(dir_).Remove(first.key()).ok());
  EXPECT_EQ(Resolve(request)->explanation().reason(), changed.explanation().reason()) << "it is known still";
}

TEST_F(ResolverTest, TheOneUsedLastCountsAndNotTheOneBuiltLast) {
  const ResolveEnvironmentRequest six = Request({"pip install six"}), numpy = Request({"pip install numpy"});
  DirectoryBackend backend({.environments_dir = dir_,
                            .python = "/usr/bin/python3",
                            .python_version = std::string("cpython 3.11.2 x86_64"),
                            .client_dir = "",
                            .client_digest = "",
                            .interpreter_dirs = {}});
  Resolver resolver(files_, backend);
  for (const auto& request : {six, numpy}) {
    const Environment environment = *resolver.Resolve(request);
    Seal(environment, MarkerOf(environment.key()));
    ASSERT_EQ(resolver.Resolve(request)->state(), Environment::READY);
  }
  ASSERT_EQ(resolver.Resolve(six)->state(), Environment::READY);
  EXPECT_THAT(resolver.Resolve(Request({"pip install x"}))->explanation().reason(),
              HasSubstr("the step `pip install six` is gone since environment "));
}

TEST_F(ResolverTest, WhatAJobWritesInPlaceOfItsNameIsNotTold) {
  const ResolveEnvironmentRequest request = Request({"pip install six"});
  const Environment environment = *Resolve(request);
  Seal(environment, MarkerOf(environment.key()));
  ASSERT_TRUE(
      WriteFileAtomically(environment.directory().path() + "/" + std::string(kBuiltByName), "12.build\n==> x").ok());
  ASSERT_EQ(Resolve(request)->state(), Environment::READY);
  EXPECT_THAT(Resolve(Request({"x"}))->explanation().reason(), HasSubstr("since environment "));
}

TEST_F(ResolverTest, APipeInPlaceOfTheMarkerHoldsNobodyUp) {
  const ResolveEnvironmentRequest request = Request({"pip install six"});
  const Environment environment = *Resolve(request);
  Seal(environment, "");
  const std::string marker = environment.directory().path() + "/" + std::string(kMarkerName);
  ASSERT_TRUE(std::filesystem::remove(marker));
  ASSERT_EQ(mkfifo(marker.c_str(), 0600), 0);
  EXPECT_EQ(Resolve(request)->state(), Environment::MISSING);
}

TEST_F(ResolverTest, AHistoryThatCannotBeWrittenCostsNothingButExplanations) {
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/.known", "in the way").ok());
  const ResolveEnvironmentRequest request = Request({"pip install six"});
  const Environment environment = *Resolve(request);
  Seal(environment, MarkerOf(environment.key()));
  EXPECT_EQ(Resolve(request)->state(), Environment::READY);
  EXPECT_EQ(Resolve(Request({"x"}))->explanation().decision(), CacheExplanation::BUILT_FIRST_TIME);
}

TEST_F(ResolverTest, ARebuildThatCannotTakeThePlaceOfTheUsualOneIsAnError) {
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/.newest", "in the way").ok());
  ResolveEnvironmentRequest request = Request({"pip install six"});
  request.set_rebuild("33333333-3333-4333-8333-333333333333");
  const Environment environment = *Resolve(request);
  Seal(environment, MarkerOf(environment.key()));
  EXPECT_FALSE(Resolve(request).ok());
}

TEST_F(ResolverTest, TheDigestFollowsThePackagesAndTheKey) {
  const ResolveEnvironmentRequest request = Request({"pip install six"});
  const Environment environment = *Resolve(request);
  const std::string site = environment.directory().path() + "/lib/python3.11/site-packages";
  ASSERT_TRUE(MakeDirectories(site + "/six-1.16.0.dist-info").ok());
  ASSERT_TRUE(MakeDirectories(site + "/six").ok());
  Seal(environment, MarkerOf(environment.key()));
  const std::string digest = Resolve(request)->digest();
  EXPECT_EQ(digest.size(), 64u);
  ASSERT_TRUE(MakeDirectories(site + "/six/more").ok());
  EXPECT_EQ(Resolve(request)->digest(), digest);
  std::filesystem::rename(site + "/six-1.16.0.dist-info", site + "/six-1.17.0.dist-info");
  EXPECT_NE(Resolve(request)->digest(), digest);
  StoredEnvironments stored(dir_);
  EXPECT_EQ(stored.List()->at(0).digest(), Resolve(request)->digest());
}

TEST_F(ResolverTest, StoredEnvironmentsAreListedWithTheirSizes) {
  const Environment environment = *Resolve(Request({"pip install numpy"}));
  Seal(environment, MarkerOf(environment.key()));
  ASSERT_TRUE(WriteFileAtomically(environment.directory().path() + "/large", std::string(100'000, 'x')).ok());
  StoredEnvironments stored(dir_);
  const auto list = stored.List();
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(list->at(0).key(), environment.key());
  EXPECT_TRUE(list->at(0).complete());
  EXPECT_GE(list->at(0).bytes(), 100'000);
  EXPECT_FALSE(stored.Remove("../x").ok());
  EXPECT_TRUE(stored.Remove(environment.key()).ok());
  EXPECT_TRUE(stored.Remove(environment.key()).ok()) << "nothing to do";
  EXPECT_TRUE(stored.List()->empty());
}

TEST_F(ResolverTest, LatestIsNoVersion) {
  ResolveEnvironmentRequest request = Request({});
  request.set_framework("tensorflow");
  const std::string unset = Resolve(request)->key();
  request.set_framework_version("latest");
  EXPECT_EQ(Resolve(request)->key(), unset);
  request.set_framework_version("2.15.0");
  EXPECT_NE(Resolve(request)->key(), unset);
}

TEST_F(ResolverTest, BadRequestsAreRefused) {
  ResolveEnvironmentRequest unknown_framework = Request({});
  unknown_framework.set_framework("torch");
  ResolveEnvironmentRequest bad_version = Request({});
  bad_version.set_framework("tensorflow");
  bad_version.set_framework_version("1; rm");
  ResolveEnvironmentRequest no_owner = Request({});
  no_owner.set_owner_uid("paul");
  ResolveEnvironmentRequest no_commit = Request({"pip install x"});
  no_commit.set_commit("main");
  for (const auto& request : {unknown_framework, bad_version, no_owner, no_commit})
    EXPECT_TRUE(HasReason(Resolve(request).status(), Reason::kInvalidArgument)) << request.ShortDebugString();
}

TEST_F(ResolverTest, ErrorsOfInterpreterAndCodeComeThrough) {
  EXPECT_EQ(Resolve(Request({"pip install x"}), absl::FailedPreconditionError("no python")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  files_.status = absl::UnavailableError("away");
  EXPECT_EQ(Resolve(Request({"pip install -r x"})).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace riseml::builder
