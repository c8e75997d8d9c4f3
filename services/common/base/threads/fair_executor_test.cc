#include "services/common/base/threads/fair_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <string>
#include <vector>

namespace riseml {
namespace {

TEST(FairExecutor, RunsEverything) {
  constexpr int kTasks = 1000;
  std::latch done(kTasks);
  FairExecutor executor({.threads = 3, .most_per_owner = 2, .background = true});
  for (int i = 0; i < kTasks; ++i) executor.Run(std::to_string(i % 7), [&] { done.count_down(); });
  done.wait();
}

TEST(FairExecutor, OneOwnerNeverHasAllThreads) {
  std::latch begun(3), go_on(1), other(1);
  std::atomic<int> running = 0, most = 0;
  FairExecutor executor({.threads = 4, .most_per_owner = 3});
  for (int i = 0; i < 6; ++i) {
    executor.Run("paul", [&, i] {
      most = std::max<int>(most, ++running);
      if (i < 3) begun.count_down();
      go_on.wait();
      --running;
    });
  }
  begun.wait();
  executor.Run("ada", [&] { other.count_down(); });
  other.wait();  // while all that paul may have runs
  EXPECT_EQ(most, 3);
  go_on.count_down();
}

TEST(FairExecutor, OwnersTakeTurns) {
  std::latch begun(1), go_on(1), done(7);
  std::vector<std::string> order;  // written by the only thread
  FairExecutor executor({.threads = 1, .most_per_owner = 1});
  executor.Run("first", [&] {
    begun.count_down();
    go_on.wait();
  });
  begun.wait();
  for (const char* name : {"a1", "a2", "a3", "a4", "b1", "b2", "c1"})
    executor.Run(std::string(1, name[0]), [&, name] {
      order.emplace_back(name);
      done.count_down();
    });
  go_on.count_down();
  done.wait();
  EXPECT_EQ(order, (std::vector<std::string>{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}));
}

TEST(FairExecutor, StopWaitsForWhatRunsAndDropsTheRest) {
  std::latch begun(1), go_on(1);
  std::atomic<int> ended = 0;
  FairExecutor executor({.threads = 1, .most_per_owner = 1});
  executor.Run("paul", [&] {
    begun.count_down();
    go_on.wait();
    ++ended;
  });
  executor.Run("paul", [&] { ended += 10; });
  begun.wait();
  std::jthread stopper([&] { executor.Stop(); });
  go_on.count_down();
  stopper.join();
  EXPECT_GE(ended, 1);
  executor.Run("paul", [&] { ended += 100; });
  executor.Stop();
  EXPECT_LT(ended, 100);
}

}  // namespace
}  // namespace riseml
