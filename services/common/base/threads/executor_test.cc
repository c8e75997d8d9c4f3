#include "services/common/base/threads/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace riseml {
namespace {

TEST(ThreadExecutor, RunsEverything) {
  constexpr int kTasks = 1000;
  std::latch done(kTasks);
  ThreadExecutor executor(3);
  for (int i = 0; i < kTasks; ++i) executor.Run([&] { done.count_down(); });
  done.wait();
}

TEST(ThreadExecutor, StopWaitsForWhatRunsAndDropsTheRest) {
  std::latch begun(1), go_on(1);
  std::atomic<int> ended = 0;
  ThreadExecutor executor(1);
  executor.Run([&] {
    begun.count_down();
    go_on.wait();
    ++ended;
  });
  executor.Run([&] { ended += 10; });
  begun.wait();
  std::jthread stopper([&] { executor.Stop(); });
  go_on.count_down();
  stopper.join();
  EXPECT_GE(ended, 1);
  executor.Run([&] { ended += 100; });
  executor.Stop();
  EXPECT_LT(ended, 100);
}

// Each task needs the others to run at the same time.
TEST(ThreadExecutor, NoTaskWaitsWhileAThreadMayBegin) {
  constexpr int kTasks = 20;
  std::latch all(kTasks);
  ThreadExecutor executor(kTasks);
  for (int i = 0; i < kTasks; ++i) executor.Run([&] { all.arrive_and_wait(); });
  all.wait();
}

TEST(InlineExecutor, RunsAtOnce) {
  int runs = 0;
  InlineExecutor().Run([&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace riseml
