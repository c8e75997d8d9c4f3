// A node whose disk is small: what becomes of jobs that fill it, and of others.
#include <sys/mount.h>

#include <cstdlib>

#include "services/agent/node/node_fixture.h"

namespace riseml::agent {
namespace {

using ::testing::HasSubstr;
using namespace riseml::agent::testing;

class FullDiskTest : public NodeTest {
 protected:
  // 600 MiB, of which 256 are kept free.
  void SetUp() override {
    if (mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=600m,mode=0755") != 0)
      GTEST_SKIP() << "no file system can be mounted here";
    mounted_ = true;
    NodeTest::SetUp();
  }
  void TearDown() override {
    NodeTest::TearDown();
    if (mounted_) EXPECT_EQ(umount2(directory_.path().c_str(), MNT_DETACH), 0);
  }

  // Writes so many MiB to a file and stays.
  static std::string Write(const std::string& path, int mib) {
    return absl::StrCat("dd if=/dev/zero of=", path, " bs=1M status=none count=", mib,
                        "; touch $OUTPUT_DIR/here; sleep 1000");
  }
  StartAttemptRequest Begin(const std::string& command) {
    const StartAttemptRequest start = Job({command});
    EXPECT_TRUE(Start(start).ok());
    EXPECT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); })) << LogOf(start).bytes;
    return start;
  }
  v1::Node Node() {
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(60), NewUuid());
    const auto watch = stub_->WatchNode(&context, {});
    internal::v1::WatchNodeResponse event;
    EXPECT_TRUE(watch->Read(&event) && event.has_node());
    context.TryCancel();
    watch->Finish();
    return event.node();
  }
  void ExpectEndedForDisk(const AttemptStatus& status) {
    EXPECT_EQ(status.end(), Observation::EXITED);
    EXPECT_EQ(status.reason(), "DISK_FULL");
    EXPECT_EQ(status.exit_class(), v1::Attempt::USER_ERROR);
    EXPECT_THAT(status.message(), HasSubstr("the disk of node here was nearly full"));
  }

  bool mounted_ = false;
};

TEST_P(FullDiskTest, WhoFillsTheOutputIsEndedAndOthersGoOn) {
  const StartAttemptRequest victim = Begin(
      "dd if=/dev/zero of=$OUTPUT_DIR/some bs=1M status=none count=80; "
      "echo before; touch $OUTPUT_DIR/here; while [ ! -e $OUTPUT_DIR/go ]; do "
      "echo x >> $OUTPUT_DIR/little; sleep 0.02; done; echo after");
  const StartAttemptRequest hog =
      Job({"while true; do dd if=/dev/zero of=$OUTPUT_DIR/$((n=n+1)) bs=1M count=8 "
           "status=none || true; sleep 0.01; done"});
  ASSERT_TRUE(Start(hog).ok());
  const AttemptStatus status = WaitForEnd(hog);
  ExpectEndedForDisk(status);
  EXPECT_THAT(status.message(), HasSubstr("most of all jobs"));
  EXPECT_THAT(Node().notes(), ::testing::Contains(HasSubstr("is nearly full")));
  WriteAll(OutputOf(victim) + "/go", "");
  EXPECT_EQ(WaitForEnd(victim).exit_code(), 0);
  EXPECT_EQ(LogOf(victim).bytes, "before\nafter\n");
}

TEST_P(FullDiskTest, TemporaryFilesCountAndGo) {
  const StartAttemptRequest hog = Job({Write("$HOME/file", 200) + " & " + Write("file", 200)});
  ASSERT_TRUE(Start(hog).ok());
  ExpectEndedForDisk(WaitForEnd(hog));
  EXPECT_TRUE(Eventually([&] { return Node().notes().empty(); })) << "there is room again";
}

TEST_P(FullDiskTest, FileWithoutANameIsNoHidingPlace) {
  const StartAttemptRequest hog =
      Job({"exec 9>file; rm file; dd if=/dev/zero bs=1M count=400 status=none >&9; sleep 1000"});
  ASSERT_TRUE(Start(hog).ok());
  ExpectEndedForDisk(WaitForEnd(hog));
}

TEST_P(FullDiskTest, NoAttemptStartsWhenLittleIsLeft) {
  const std::string filler = directory_ / "filler";
  ASSERT_EQ(system(absl::StrCat("fallocate -l 500M ", filler).c_str()), 0);
  ASSERT_TRUE(Eventually([&] { return !Node().ready(); }));
  EXPECT_THAT(Node().message(), HasSubstr("its disk is nearly full"));
  const AttemptStatus refused = [&] {
    const StartAttemptRequest start = Job({"true"});
    EXPECT_TRUE(Start(start).ok());
    return StatusOf(start).value_or(AttemptStatus());
  }();
  EXPECT_EQ(refused.end(), Observation::REJECTED) << "the job waits";
  EXPECT_EQ(refused.reason(), "DISK_FULL");
  ASSERT_EQ(unlink(filler.c_str()), 0);
  EXPECT_TRUE(Eventually([&] { return Node().ready(); }));
  EXPECT_EQ(RunToEnd(Job({"true"})).exit_code(), 0);
}

TEST_P(FullDiskTest, EndThatWasDecidedOutlivesTheNode) {
  const StartAttemptRequest start = Begin(Write("$OUTPUT_DIR/file", 1));
  KillNode();
  internal::v1::AttemptEnded ended;
  ended.set_event(Observation::EXITED);
  ended.set_reason("DISK_FULL");
  ended.set_exit_class(v1::Attempt::USER_ERROR);
  ended.set_message("ended because the disk of node here was nearly full");
  ASSERT_TRUE(WriteMessage(DirOf(start).end(), ended).ok());
  StartNode();
  ExpectEndedForDisk(WaitForEnd(start));
}

INSTANTIATE_TEST_SUITE_P(Isolation, FullDiskTest, ::testing::Values(kIsolationNone, kIsolationBubblewrap));

}  // namespace
}  // namespace riseml::agent
