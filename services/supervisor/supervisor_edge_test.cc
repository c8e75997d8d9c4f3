// The ports of users: who answers there, whatever ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/supervisor/supervisor_fixture.h"

namespace riseml::supervisor {
namespace {

using ::testing::HasSubstr;

class SupervisorEdgeTest : public SupervisorTest {};

TEST_F(SupervisorEdgeTest, AServiceThatDoesNotAnswerAnyMoreIsStartedAgain) {  // A7
  Up();
  const int pid = PidOf("gitsync");
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  Eventually([&] { return PidOf("gitsync") > 0 && PidOf("gitsync") != pid && Run("status").exit_code == 0; },
             "gitsync");
}

TEST_F(SupervisorEdgeTest, ThePortsOfUsersStayOpenWhateverEnds) {  // A15
  Up();
  const int port = PortOfUsers();
  const std::string address = AddressOf(*LoadState({dir_, dir_}), "api.user");
  for (const bool adopted : {false, true}) {
    if (adopted) {
      KillHard(kSupervisor);
      Up();
    }
    const int edge = PidOf(kEdge);
    KillHard(kEdge);
    EXPECT_FALSE(Bind(port).valid()) << "somebody else has the port of the edge";
    Eventually([&] { return PidOf(kEdge) > 0 && PidOf(kEdge) != edge && Run("status").exit_code == 0; }, "edge");
    EXPECT_EQ(AddressOf(*LoadState({dir_, dir_}), "api.user"), address);
    EXPECT_EQ(HealthOf("api.user").code(), absl::StatusCode::kOk);
  }
  KillHard("api");
  EXPECT_FALSE(Bind(port).valid()) << "somebody else has the port of api";
}

TEST_F(SupervisorEdgeTest, CallsOfAServiceThatDoesNotRunAreUnavailable) {
  Up();
  ASSERT_EQ(HealthOf("gitsync.user").code(), absl::StatusCode::kOk);
  SetMode("riseml-gitsync", "deaf");
  KillHard("gitsync");
  const absl::Status status = HealthOf("gitsync.user");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("call again"));
  EXPECT_EQ(HealthOf("api.user").code(), absl::StatusCode::kOk);
}

TEST_F(SupervisorEdgeTest, WorksWithoutHaproxyAndSaysSo) {
  const std::vector<std::string> hidden = {"unshare", "-m", "sh", "-c",
                                           "mount --bind /dev/null /usr/sbin/haproxy && exec \"$0\" \"$@\""};
  if (RunAndWait({"unshare", "-m", "true"})->exit_code != 0) GTEST_SKIP() << "no mount can be made here";
  const Result up = Run("up", hidden);
  ASSERT_EQ(up.exit_code, 0) << up.output << Logs();
  EXPECT_THAT(up.output, HasSubstr("install the package haproxy"));
  EXPECT_EQ(PidOf(kEdge), 0);
  EXPECT_EQ(Run("status").exit_code, 0);
  const int port = PortOfUsers();
  EXPECT_EQ(HealthOf("api.user").code(), absl::StatusCode::kOk);
  ASSERT_EQ(Run("down").exit_code, 0);
  Up();
  EXPECT_GT(PidOf(kEdge), 0);
  EXPECT_EQ(PortOfUsers(), port);
  EXPECT_EQ(HealthOf("api.user").code(), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace riseml::supervisor
