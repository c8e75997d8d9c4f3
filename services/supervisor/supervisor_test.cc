// The installation as a whole: start, adoption, restarts, stop, and what `up` tells.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/supervisor/supervisor_fixture.h"

namespace riseml::supervisor {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(SupervisorTest, StartsShowsAndStopsEverything) {
  const Result up = Run("up");
  ASSERT_EQ(up.exit_code, 0) << up.output << Logs();
  EXPECT_THAT(up.output, HasSubstr(absl::StrCat("RiseML is up in ", dir_)));
  EXPECT_THAT(up.output, Not(HasSubstr("rml_test_key")));
  for (const auto& [name, pid] : AllPids()) EXPECT_GT(pid, 0) << name;

  const auto context = LoadClientConfig(ClientConfig(), "");
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->user, "admin");
  EXPECT_EQ(context->api_key, "rml_test_key");
  const auto state = LoadState({dir_, dir_});
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(context->cluster_id, state->cluster_id());
  EXPECT_EQ(context->api_address, AddressOf(*state, "api.user"));
  EXPECT_FALSE(FileExists(dir_ + "/secrets/admin-key.pending"));

  const Result status = Run("status");
  EXPECT_EQ(status.exit_code, 0) << status.output;
  const auto pids = AllPids();
  EXPECT_THAT(Run("up").output, HasSubstr("is already up"));
  EXPECT_EQ(AllPids(), pids);

  EXPECT_EQ(Run("down").exit_code, 0);
  for (const auto& [name, pid] : pids) EXPECT_FALSE(riseml::Identify(pid).ok()) << name;
  EXPECT_EQ(Run("status").exit_code, 1);
  EXPECT_EQ(Run("down").exit_code, 0) << "stopping what is stopped is no error";

  Up();
  EXPECT_EQ(LoadState({dir_, dir_})->SerializeAsString().size(), state->SerializeAsString().size());
  EXPECT_EQ(AddressOf(*LoadState({dir_, dir_}), "api.user"), AddressOf(*state, "api.user"));
  EXPECT_EQ(LoadClientConfig(ClientConfig(), "")->api_key, "rml_test_key");
}

TEST_F(SupervisorTest, ServicesRunWithoutRootsRights) {
  Up();
  for (const auto& [name, pid] : AllPids()) {
    struct stat info = {};
    ASSERT_EQ(stat(absl::StrCat("/proc/", pid).c_str(), &info), 0) << name;
    EXPECT_NE(info.st_uid, 0u) << name;
  }
  for (const char* secret : {"/secrets/token.key", "/certs/ca.key", "/certs/api.key", "/config/api.yaml"}) {
    struct stat info = {};
    ASSERT_EQ(stat((dir_ + secret).c_str(), &info), 0) << secret;
    EXPECT_EQ(info.st_mode & 077, 0u) << secret;
  }
}

TEST_F(SupervisorTest, WorksBelowADirectoryThatOthersCannotEnter) {
  fs::create_directory(root_ + "/private");
  ASSERT_EQ(chmod((root_ + "/private").c_str(), 0700), 0);
  dir_ = root_ + "/private/installation";
  const Result up = Run("up");
  if (up.exit_code != 0) {  // no mount can be made here: it is refused, and the directory in the way is named
    EXPECT_THAT(up.output, AllOf(HasSubstr("a mount for them alone is not possible here"),
                                 HasSubstr(root_ + "/private,"), HasSubstr("choose a --dir elsewhere")));
    return;
  }
  EXPECT_EQ(Run("status").exit_code, 0);
  const auto pids = AllPids();
  KillHard(kSupervisor);
  Up();
  EXPECT_EQ(AllPids(), pids);
}

TEST_F(SupervisorTest, RunsProgramsThatItsAccountCannotRead) {
  ASSERT_EQ(chmod(bin_.c_str(), 0700), 0);
  Up();
  EXPECT_EQ(Run("status").exit_code, 0);
}

TEST_F(SupervisorTest, WorksBelowAPathTooLongForASocket) {
  dir_ = absl::StrCat(root_, "/", std::string(100, 'x'), "/installation");
  Up();
  EXPECT_EQ(Run("status").exit_code, 0);
  const std::string socket_dir = LoadState({dir_, dir_})->postgres_socket_dir();
  EXPECT_LE(socket_dir.size(), 85u);
  EXPECT_EQ(Run("down").exit_code, 0);
  fs::remove_all(socket_dir);
  Up();
  EXPECT_EQ(Run("down").exit_code, 0);
  fs::remove_all(socket_dir);
}

TEST_F(SupervisorTest, AdoptsWhatItsPredecessorLeftRunning) {
  Up();
  const auto pids = AllPids();
  const int supervisor = PidOf(kSupervisor);
  KillHard(kSupervisor);
  const auto status = Run("status");
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_NE(status.output.find("The supervisor is not running"), std::string::npos) << status.output;
  for (const auto& [name, pid] : pids) EXPECT_TRUE(riseml::Identify(pid).ok()) << name << " depends on it";
  Up();
  EXPECT_EQ(AllPids(), pids);
  EXPECT_NE(PidOf(kSupervisor), supervisor);
  // What was adopted is watched as well.
  KillHard("gitsync");
  Eventually([&] { return PidOf("gitsync") > 0 && PidOf("gitsync") != pids.at("gitsync"); },
             "gitsync is started again");
}

TEST_F(SupervisorTest, ReplacesOnlyWhatChangedMeanwhile) {
  Up();
  auto pids = AllPids();
  KillHard(kSupervisor);
  Install("riseml-builder");
  Up();
  auto now = AllPids();
  EXPECT_NE(now.at("builder"), pids.at("builder"));
  now.erase("builder");
  pids.erase("builder");
  EXPECT_EQ(now, pids);
}

TEST_F(SupervisorTest, StopsWhatADeadSupervisorLeft) {
  Up();
  const auto pids = AllPids();
  KillHard(kSupervisor);
  EXPECT_EQ(Run("down").exit_code, 0);
  for (const auto& [name, pid] : pids) EXPECT_FALSE(riseml::Identify(pid).ok()) << name;
}

TEST_F(SupervisorTest, RestartsTheDatabaseAndItsServices) {
  Up();
  for (const absl::string_view name : {kDatabase, absl::string_view("api"), absl::string_view("agent")}) {
    const int pid = PidOf(name);
    KillHard(name);
    Eventually([&] { return PidOf(name) > 0 && PidOf(name) != pid && Run("status").exit_code == 0; }, name);
  }
}

TEST_F(SupervisorTest, AFailedStartTellsWhyAndLeavesNothing) {
  SetMode("riseml-builder", "fail");
  const Result failed = Run("up");
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.output, HasSubstr("builder does not stay up"));
  EXPECT_THAT(failed.output, HasSubstr("told to fail by the test"));
  for (const auto& [name, pid] : AllPids()) EXPECT_EQ(pid, 0) << name;

  ClearMode("riseml-builder");
  SetMode("riseml-api", "fail migrate");
  const Result migration = Run("up");
  EXPECT_EQ(migration.exit_code, 1);
  EXPECT_THAT(migration.output, HasSubstr("riseml-api migrate ended with exit code 1"));

  ClearMode("riseml-api");
  Up();
  EXPECT_EQ(LoadClientConfig(ClientConfig(), "")->api_key, "rml_test_key");
}

TEST_F(SupervisorTest, AnInterruptedStartIsUndone) {
  SetMode("riseml-scheduler", "deaf");
  const std::string script = absl::StrCat("HOME=", root_, "/home ", RISEML_TEST_BIN_DIR, "/riseml-supervisor up --dir ",
                                          dir_, " --bin-dir ", bin_, " & pid=$!; while ! [ -s ", dir_,
                                          "/run/scheduler.pid ]; do :; done; kill -TERM $pid; wait $pid");
  const auto result = RunAndWait({"sh", "-c", script});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->exit_code, 130) << result->output;
  for (const auto& [name, pid] : AllPids()) EXPECT_EQ(pid, 0) << name;
}

TEST_F(SupervisorTest, ATakenPortIsNamedAndKept) {
  Up();
  ASSERT_EQ(Run("down").exit_code, 0);
  const int port = LoadState({dir_, dir_})->ports().at("gitsync.user");
  const UniqueFd stranger = Bind(port);
  ASSERT_TRUE(stranger.valid());
  ASSERT_EQ(listen(stranger.get(), 1), 0);
  const Result result = Run("up");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output, HasSubstr(absl::StrCat("port ", port, " of gitsync.user is taken by")));
  EXPECT_EQ(LoadState({dir_, dir_})->ports().at("gitsync.user"), port);
}

TEST_F(SupervisorTest, ALockFileOfAnotherProgramsPidDoesNotStopTheDatabase) {
  Up();
  ASSERT_EQ(Run("down").exit_code, 0);
  // What a power failure leaves when the pid has gone to some other program since.
  struct stat owner = {};
  ASSERT_EQ(stat((dir_ + "/postgres").c_str(), &owner), 0);
  const std::string lock = dir_ + "/postgres/postmaster.pid";
  ASSERT_TRUE(WriteFileAtomically(lock, absl::StrCat(getpid(), "\n", dir_, "/postgres\n1\n5432\n\n\n"), 0600).ok());
  ASSERT_EQ(chown(lock.c_str(), owner.st_uid, owner.st_gid), 0);
  Up();
}

TEST_F(SupervisorTest, RefusesADirectoryThatHoldsSomethingElse) {
  fs::create_directories(dir_);
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/thesis.txt", "precious").ok());
  const Result result = Run("up");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output, HasSubstr("is not empty and holds no RiseML installation"));
  EXPECT_FALSE(fs::exists(dir_ + "/FORMAT"));
  EXPECT_THAT(Run("down").output, HasSubstr("no RiseML installation in"));
}

TEST_F(SupervisorTest, ALostKeyOfTheAdministratorIsReplaced) {
  EXPECT_THAT(Run("admin-key").output, HasSubstr("no RiseML installation in "));
  Up();
  fs::remove(ClientConfig());
  const Result lost = Run("up");
  EXPECT_THAT(lost.output, HasSubstr(absl::StrCat("run `riseml-supervisor admin-key --dir ", dir_, "`")));
  const Result made = Run("admin-key");
  EXPECT_EQ(made.exit_code, 0) << made.output << Logs();
  EXPECT_THAT(made.output, HasSubstr("Logged in as admin (context default in "));
  EXPECT_EQ(LoadClientConfig(ClientConfig(), "")->api_key, "rml_another_key");
  EXPECT_FALSE(FileExists(dir_ + "/secrets/admin-key.pending"));
  ASSERT_EQ(Run("down").exit_code, 0);
  const Result down = Run("admin-key");
  EXPECT_EQ(down.exit_code, 1);
  EXPECT_THAT(down.output, HasSubstr("is not up; run `riseml up` first"));
}

TEST_F(SupervisorTest, SaysWhenTheCurrentContextIsAnotherInstallation) {
  Up();
  riseml::ClientConfig other = AnotherInstallation();
  other.context = "work";
  ASSERT_TRUE(SaveClientConfig(ClientConfig(), other).ok());
  EXPECT_THAT(Run("up").output, HasSubstr("is work, another installation: write riseml --context default to use this"));
  EXPECT_EQ(LoadClientConfig(ClientConfig(), "")->context, "work") << "it stays the current one";
}

TEST_F(SupervisorTest, KeepsOtherContextsOfTheClient) {
  const riseml::ClientConfig other = AnotherInstallation();
  ASSERT_TRUE(SaveClientConfig(ClientConfig(), other).ok());
  const Result up = Run("up");
  ASSERT_EQ(up.exit_code, 0) << up.output;
  EXPECT_THAT(up.output, HasSubstr("before it was default"));
  EXPECT_EQ(LoadClientConfig(ClientConfig(), "default")->api_key, "rml_other");
  EXPECT_EQ(LoadClientConfig(ClientConfig(), "")->context, "local");
  EXPECT_EQ(LoadClientConfig(ClientConfig(), "")->api_key, "rml_test_key");
}

}  // namespace
}  // namespace riseml::supervisor
