#include "services/agent/disk/disk_guard.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/agent/disk/disk_use.h"
#include "services/agent/testing.h"
#include "services/common/base/clock.h"
#include "services/common/base/id.h"

namespace riseml::agent {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kMb = 1 << 20;
constexpr std::int64_t kGb = 1024 * kMb;

class DiskGuardTest : public ::testing::Test {
 protected:
  // A disk of 40 GiB, of which 2 GiB are kept free.
  DiskPressure Look(std::int64_t free) { return guard_.Look({40 * kGb, free}); }
  bool WantsToEnd() const { return guard_.WantsToEnd(clock_.Now()); }
  std::optional<DiskUse> Choose(const std::vector<DiskUse>& uses) { return guard_.Choose(uses, clock_.Now()); }
  void End() { guard_.NoteEnd(); }

  FakeClock clock_;
  DiskGuard guard_;
  const AttemptId one_{NewUuid(), 1};
  const AttemptId other_{NewUuid(), 1};
};

TEST(DiskReserveTest, IsAPartOfTheDiskWithinBounds) {
  EXPECT_EQ(ReserveOf({20 * kGb, 0}), kGb);
  EXPECT_EQ(ReserveOf({1000 * kGb, 0}), 2 * kGb);
  EXPECT_EQ(ReserveOf({2 * kGb, 0}), 256 * kMb);
  EXPECT_EQ(ReserveOf({300 * kMb, 0}), 150 * kMb);
}

TEST_F(DiskGuardTest, PressureBeginsAtTheReserveAndEndsSomeWayAboveIt) {
  EXPECT_EQ(Look(2 * kGb), DiskPressure::kNone);
  EXPECT_EQ(Look(2 * kGb - 1), DiskPressure::kReserve);
  EXPECT_EQ(Look(2 * kGb + kMb), DiskPressure::kReserve);
  EXPECT_EQ(Look(kGb - 1), DiskPressure::kNoStarts);
  EXPECT_EQ(Look(kGb + kMb), DiskPressure::kNoStarts);
  EXPECT_EQ(Look(kGb + kGb / 2), DiskPressure::kReserve);
  EXPECT_EQ(Look(3 * kGb), DiskPressure::kNone);
}

TEST_F(DiskGuardTest, WhoHasMostIsEnded) {
  Look(3 * kGb);
  EXPECT_FALSE(WantsToEnd());
  Look(2 * kGb - 1);
  EXPECT_TRUE(WantsToEnd());
  const auto most = Choose({{one_, 3 * kGb}, {other_, 5 * kGb}});
  ASSERT_TRUE(most);
  EXPECT_EQ(most->id, other_);
  EXPECT_EQ(most->bytes, 5 * kGb);
  clock_.Advance(absl::Seconds(20));
  Look(kGb);
  EXPECT_FALSE(WantsToEnd()) << "one at a time";
}

TEST_F(DiskGuardTest, NobodyIsEndedForLittle) {
  Look(3 * kGb);
  Look(2 * kGb - 1);
  EXPECT_FALSE(Choose({{one_, 64 * kMb - 1}, {other_, 1}}));
  EXPECT_FALSE(guard_.ending());
  EXPECT_FALSE(WantsToEnd()) << "not again at once";
  Look(2 * kGb - 20 * kMb);
  EXPECT_TRUE(WantsToEnd()) << "somebody has written meanwhile";
}

TEST_F(DiskGuardTest, WhatAnEndLeavesOnTheDiskEndsNobodyElse) {
  Look(3 * kGb);
  Look(2 * kGb - 1);
  ASSERT_TRUE(Choose({{one_, 30 * kGb}, {other_, 5 * kGb}}));
  Look(kGb + kGb / 2);
  End();
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(absl::Seconds(1));
    Look(kGb + kGb / 2 - kMb);
    EXPECT_FALSE(WantsToEnd());
  }
}

TEST_F(DiskGuardTest, TheNextOneIsEndedForWhatItHasWrittenSince) {
  Look(3 * kGb);
  Look(2 * kGb - 1);
  const AttemptId late{NewUuid(), 1};
  ASSERT_TRUE(Choose({{one_, 30 * kGb}, {other_, 5 * kGb}}));
  End();
  clock_.Advance(absl::Seconds(6));
  Look(2 * kGb - 300 * kMb);
  ASSERT_TRUE(WantsToEnd());
  const auto next = Choose({{other_, 5 * kGb + kMb}, {late, 299 * kMb}});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->id, late);
  EXPECT_EQ(next->bytes, 299 * kMb);
}

TEST_F(DiskGuardTest, LessHasToDoWhenLittleIsLeft) {
  Look(3 * kGb);
  Look(100 * kMb);
  ASSERT_TRUE(Choose({{one_, 30 * kGb}, {other_, 5 * kGb}}));
  End();
  Look(49 * kMb);
  ASSERT_TRUE(WantsToEnd()) << "at once: what an end frees has been counted";
  const auto next = Choose({{other_, 5 * kGb + 49 * kMb}});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->id, other_);
}

TEST_F(DiskGuardTest, DiskThatIsFullAtTheFirstLookEndsNobodyUntilMoreIsWritten) {
  Look(kGb);
  EXPECT_FALSE(WantsToEnd());
  Look(kGb - 300 * kMb);
  EXPECT_TRUE(WantsToEnd());
}

TEST_F(DiskGuardTest, WhoCannotBeCountedIsEndedFirst) {
  Look(3 * kGb);
  Look(2 * kGb - 1);
  const auto most = Choose({{one_, 30 * kGb}, {other_, kMb, false}});
  ASSERT_TRUE(most);
  EXPECT_EQ(most->id, other_);
}

TEST_F(DiskGuardTest, AnEndThatDoesNotComeHoldsUpNobodyForEver) {
  Look(3 * kGb);
  Look(2 * kGb - 1);
  ASSERT_TRUE(Choose({{one_, 30 * kGb}}));
  EXPECT_FALSE(guard_.IsOverdue(clock_.Now() + absl::Seconds(30)));
  EXPECT_TRUE(guard_.IsOverdue(clock_.Now() + absl::Minutes(2)));
}

TEST_F(DiskGuardTest, LooksOftenerWhenLittleIsLeft) {
  Look(30 * kGb);
  EXPECT_EQ(guard_.UntilNextLook(), absl::Seconds(1));
  Look(4 * kGb);
  EXPECT_EQ(guard_.UntilNextLook(), absl::Milliseconds(125));
  Look(2 * kGb);
  EXPECT_EQ(guard_.UntilNextLook(), absl::Milliseconds(10));
}

TEST(DiskTextsTest, NameBytesAndWhatToDo) {
  const std::string why =
      WhyEndedForDisk("local", {40 * kGb, 1946 * kMb}, {{NewUuid(), 1}, 31 * kGb + 205 * kMb}, false, false);
  EXPECT_EQ(why,
            "ended because the disk of node local was nearly full (1.9 GiB free of 40.0 GiB): this job's files took "
            "31.2 GiB, most of all jobs; delete what is not needed (riseml rm) or write less");
  EXPECT_THAT(WhyNoStarts({40 * kGb, 900 * kMb}), HasSubstr("900 MiB free of 40.0 GiB"));
}

TEST(DiskUseTest, CountsBlocksOnceAndNoHoles) {
  const testing::TemporaryDirectory directory;
  testing::WriteAll(directory / "full", std::string(3 * kMb, 'x'));
  ASSERT_EQ(link((directory / "full").c_str(), (directory / "again").c_str()), 0);
  testing::WriteAll(directory / "hole", "");
  ASSERT_EQ(truncate((directory / "hole").c_str(), kGb), 0);
  DiskUseCounter counter(*DeviceOf(directory.path()));
  counter.AddTree(directory.path());
  counter.AddTree(directory / "absent");
  EXPECT_TRUE(counter.whole());
  EXPECT_GE(counter.bytes(), 3 * kMb);
  EXPECT_LT(counter.bytes(), 4 * kMb);
}

TEST(DiskUseTest, FindsWhatAContainerHasChanged) {
  EXPECT_EQ(ChangesOfContainer(
                "22 1 0:21 / /proc rw - proc proc rw\n"
                "30 22 0:45 / / rw,relatime - overlay overlay rw,lowerdir=/s/a:/s/b,upperdir=/s/diff,workdir=/w\n"),
            "/s/diff");
  EXPECT_EQ(ChangesOfContainer("22 1 8:1 / / rw - ext4 /dev/vda rw\n"), "");
  EXPECT_EQ(ChangesOfContainer(""), "");
}

TEST(DiskUseTest, TooManyDirectoriesInEachOtherAreNoHidingPlace) {
  const testing::TemporaryDirectory directory;
  std::string path = directory.path();
  for (int i = 0; i < 250; ++i) {
    path += "/d";
    ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  }
  DiskUseCounter counter(*DeviceOf(directory.path()));
  counter.AddTree(directory.path());
  EXPECT_FALSE(counter.whole());
}

TEST(DiskUseTest, CountsFilesWithoutANameThatAProcessHolds) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "file";
  const int held = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(held, 0);
  ASSERT_EQ(write(held, std::string(2 * kMb, 'x').data(), 2 * kMb), 2 * kMb);
  ASSERT_EQ(unlink(path.c_str()), 0);
  int hold[2];
  ASSERT_EQ(pipe(hold), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    close(hold[1]);
    _exit(static_cast<int>(read(hold[0], &byte, 1)));
  }
  DiskUseCounter counter(*DeviceOf(directory.path()));
  counter.AddNameless(getpid());
  close(hold[1]);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  close(hold[0]);
  close(held);
  EXPECT_GE(counter.bytes(), 2 * kMb);
}

}  // namespace
}  // namespace riseml::agent
