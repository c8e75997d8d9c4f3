// Journals, processes, the queue and the table of attempts.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include "services/agent/attempt/attempt_table.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/attempt/trash.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/node/watch_order.h"
#include "services/agent/node/work_queue.h"
#include "services/agent/output/outputs.h"
#include "services/agent/process/process.h"
#include "services/agent/process/process_watcher.h"
#include "services/agent/process/spawn.h"
#include "services/agent/testing.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptStatus;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace riseml::agent::testing;

internal::v1::AttemptEnded Ended(const std::string& reason) {
  internal::v1::AttemptEnded ended;
  ended.set_reason(reason);
  return ended;
}

TEST(Trash, RemovesWhatIsPutAwayAndWhatAnEarlierProcessLeft) {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory / ".trash-old/a/b");
  std::filesystem::create_directories(directory / "closed/a");
  WriteAll(directory / "kept", "x");
  std::filesystem::permissions(directory / "closed", std::filesystem::perms::none);
  Trash trash(directory.path());
  EXPECT_TRUE(trash.Take(directory / "closed", NewUuid()).ok());
  EXPECT_FALSE(FileExists(directory / "closed")) << "at once";
  EXPECT_TRUE(trash.Take(directory / "absent", "").ok());
  EXPECT_TRUE(Eventually([&] {
    return std::distance(std::filesystem::directory_iterator(directory.path()),
                         std::filesystem::directory_iterator()) == 1;
  }));
  EXPECT_TRUE(FileExists(directory / "kept"));
}

TEST(Trash, ARestartKnowsWhoseATreeIs) {
  const std::string owner = NewUuid();
  const std::string name = Trash::NameFor(owner);
  EXPECT_TRUE(name.starts_with(Trash::kPrefix));
  EXPECT_EQ(Trash::OwnerIn(name), owner);
  EXPECT_EQ(Trash::OwnerIn(Trash::NameFor("")), "");
  EXPECT_EQ(Trash::OwnerIn(Trash::NameFor("../paul")), "");
  EXPECT_EQ(Trash::OwnerIn(".trash-old"), "");
}

TEST(Journal, TheFirstEndStands) {
  TemporaryDirectory directory;
  EXPECT_EQ(EndJournal(directory / "journal", Ended("ONE"))->reason(), "ONE");
  EXPECT_EQ(EndJournal(directory / "journal", Ended("TWO"))->reason(), "ONE");
  EXPECT_EQ(ReadJournal(directory / "journal")->ended->reason(), "ONE");
}

TEST(Journal, IsEmptyWhenItIsAbsent) {
  TemporaryDirectory directory;
  const auto content = ReadJournal(directory / "journal");
  ASSERT_TRUE(content.ok());
  EXPECT_FALSE(content->started || content->ended);
}

TEST(Journal, EveryTornRecordCountsAsAbsent) {
  TemporaryDirectory directory;
  {
    const UniqueFd fd = *OpenFile(directory / "whole", O_RDWR | O_APPEND | O_CREAT);
    internal::v1::JournalRecord record;
    record.mutable_started()->mutable_time()->set_seconds(5);
    ASSERT_TRUE(AppendToJournal(fd.get(), record).ok());
  }
  const std::string started = ReadAll(directory / "whole");
  ASSERT_TRUE(EndJournal(directory / "whole", Ended("END")).ok());
  const std::string whole = ReadAll(directory / "whole");
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const std::string path = directory / std::to_string(length);
    WriteAll(path, whole.substr(0, length));
    const auto content = ReadJournal(path);
    ASSERT_TRUE(content.ok());
    EXPECT_EQ(content->started.has_value(), length >= started.size()) << length;
    EXPECT_EQ(content->ended.has_value(), length == whole.size()) << length;
    EXPECT_EQ(EndJournal(path, Ended("LATER"))->reason(), length == whole.size() ? "END" : "LATER");
    EXPECT_TRUE(ReadJournal(path)->ended.has_value()) << "a torn record does not hide the next one";
  }
}

TEST(Journal, CannotBeEndedWhileAnotherProcessHoldsIt) {
  TemporaryDirectory directory;
  internal::v1::RunPlan plan;
  plan.add_commands("sleep 1000");
  (*plan.mutable_environment())["PATH"] = "/usr/bin:/bin";
  WriteAll(directory / "run.pb", plan.SerializeAsString());
  ChildProcess run({RISEML_JOB, "run", "--dir", directory.path()}, {}, directory / "own.log");
  ASSERT_TRUE(Eventually([&] { return ReadJournal(directory / "journal")->started.has_value(); }));
  EXPECT_EQ(EndJournal(directory / "journal", Ended("NO")).status().code(), absl::StatusCode::kFailedPrecondition);
  const UniqueFd fd = *OpenFile(directory / "journal", O_RDWR);
  EXPECT_EQ(*LockHolder(fd.get()), run.pid());
  run.Signal(SIGTERM);
  run.Wait();
  EXPECT_EQ(*LockHolder(fd.get()), 0);
}

TEST(Process, ParsesWeirdNames) {
  const auto stat = ParseProcessStat("42 (a) b (c)) S 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98765 1 1\n");
  ASSERT_TRUE(stat.ok());
  EXPECT_EQ(stat->pid, 42);
  EXPECT_EQ(stat->parent, 7);
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->start_ticks, 98765);
  for (const char* bad : {"", "42", "42 (a)", "x (a) S 1", "42 (a) S 1 2 3"})
    EXPECT_FALSE(ParseProcessStat(bad).ok()) << bad;
}

TEST(Process, IsKnownByMoreThanItsPid) {
  TemporaryDirectory directory;
  ChildProcess child({"/bin/sleep", "1000"}, {}, directory / "out");
  auto process = *Identify(child.pid());
  EXPECT_TRUE(IsAlive(IdentityOf(process)));
  EXPECT_TRUE(OpenProcess(IdentityOf(process)).ok());
  auto other = process;
  other.set_start_ticks(process.start_ticks() - 1);
  EXPECT_FALSE(IsAlive(IdentityOf(other)));
  EXPECT_TRUE(HasReason(OpenProcess(IdentityOf(other)).status(), Reason::kNotFound));
  other = process;
  other.set_boot_id("another boot");
  EXPECT_FALSE(IsAlive(IdentityOf(other)));
  const UniqueFd fd = *OpenProcess(IdentityOf(process));
  EXPECT_TRUE(SignalProcess(fd, SIGKILL).ok());
  child.Wait();
  EXPECT_FALSE(IsAlive(IdentityOf(process)));
  EXPECT_TRUE(SignalProcess(fd, SIGKILL).ok()) << "a process that is gone is not an error";
}

TEST(Process, SpawnsDaemonsThatSayWhatIsWrong) {
  TemporaryDirectory directory;
  const UniqueFd out = *OpenFile(directory / "out", O_WRONLY | O_CREAT);
  SpawnRequest request;
  request.argv = {"/bin/sh", "-c",
                  "ls /proc/self/fd | tr '\\n' ' ' >&7; echo; pwd >&7; echo $VALUE >&7; echo done >&7"};
  request.environment = {"VALUE=5", "PATH=/usr/bin:/bin"};
  request.descriptors = {{out.get(), 7}};
  ASSERT_TRUE(SpawnDetached(request).ok());
  ASSERT_TRUE(Eventually([&] { return ReadAll(directory / "out").ends_with("done\n"); }));
  EXPECT_EQ(ReadAll(directory / "out"), "0 1 2 3 7 /\n5\ndone\n");  // 3 is what ls itself has opened

  request.argv = {"/no/such/program"};
  EXPECT_TRUE(HasReason(SpawnDetached(request).status(), Reason::kNotFound));
  request.argv = {"/bin/true"};
  request.directory = "/no/such/directory";
  EXPECT_FALSE(SpawnDetached(request).ok());
}

TEST(Process, FindsDescendantsAndProcessesByVariable) {
  TemporaryDirectory directory;
  const std::string cookie = "RISEML_TEST_COOKIE=" + directory.path();
  ChildProcess child(
      {"/bin/sh", "-c", "(setsid sleep 1000 & setsid sleep 1001 &) ; touch " + directory / "here" + "; sleep 1002"},
      {cookie, "PATH=/usr/bin:/bin"}, directory / "out");
  ASSERT_TRUE(Eventually([&] { return ProcessesWithVariable(cookie).size() == 4; }));
  EXPECT_THAT(Descendants(getpid()), Contains(child.pid()));
  EXPECT_THAT(ProcessesWithVariable(cookie.substr(0, cookie.size() - 1)), IsEmpty());
  EXPECT_TRUE(KillProcessesWithVariable(cookie).ok());
  EXPECT_THAT(ProcessesWithVariable(cookie), IsEmpty());
}

TEST(ProcessWatcher, TellsEndsAndChanges) {
  TemporaryDirectory directory;
  std::atomic<int> ends{0}, changes{0};
  auto watcher = *ProcessWatcher::Start([&](const std::string& key) { ++(key == "process" ? ends : changes); });
  ChildProcess child({"/bin/sleep", "1000"}, {}, directory / "out");
  ASSERT_TRUE(watcher->WatchProcess("process", "run", *OpenProcess(IdentityOf(*Identify(child.pid())))).ok());
  WriteAll(directory / "file", "");
  ASSERT_TRUE(watcher->WatchFile("file", directory / "file").ok());
  WriteAll(directory / "file", "x");
  EXPECT_TRUE(Eventually([&] { return changes > 0; }));
  EXPECT_EQ(ends, 0);
  child.Signal(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return ends == 1; }));
  watcher->Forget("file");
}

TEST(WorkQueue, AKeyIsQueuedOnceAndWorkedOnByOne) {
  FakeClock clock;
  WorkQueue queue(clock);
  std::stop_source stop;
  queue.Add("a");
  queue.Add("a");
  queue.Add("b");
  EXPECT_EQ(*queue.Get(stop.get_token()), "a");
  queue.Add("a");  // again, once it is done
  EXPECT_EQ(*queue.Get(stop.get_token()), "b");
  queue.Done("b");
  queue.Done("a");
  EXPECT_EQ(*queue.Get(stop.get_token()), "a");
  queue.Done("a");
  stop.request_stop();
  EXPECT_FALSE(queue.Get(stop.get_token()).has_value());
}

TEST(WorkQueue, DelayedKeysComeInTime) {
  FakeClock clock;
  WorkQueue queue(clock);
  std::stop_source stop;
  queue.AddAfter("late", absl::Seconds(20));
  queue.AddAfter("early", absl::Seconds(30));
  queue.AddAfter("early", absl::Seconds(10));
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(*queue.Get(stop.get_token()), "early");
  queue.Done("early");
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(*queue.Get(stop.get_token()), "late");
}

TEST(WorkQueue, StopEndsAWait) {
  FakeClock clock;
  WorkQueue queue(clock);
  std::jthread waiting([&](std::stop_token stop) { EXPECT_FALSE(queue.Get(stop).has_value()); });
  waiting.request_stop();
}

AttemptStatus Status(AttemptStatus::Phase phase) {
  AttemptStatus status;
  status.set_phase(phase);
  return status;
}

TEST(AttemptTable, TellsChangesSinceAVersion) {
  AttemptTable table;
  const AttemptId one{"one", 1}, two{"two", 1};
  table.Set(one, Status(AttemptStatus::PREPARING));
  table.Set(two, Status(AttemptStatus::PREPARING));
  const auto first = table.NextAfter(0);
  ASSERT_TRUE(first);
  table.Set(one, Status(AttemptStatus::RUNNING));
  table.Set(one, Status(AttemptStatus::ENDED));
  table.Set(one, Status(AttemptStatus::ENDED));
  auto change = table.NextAfter(first->version);
  EXPECT_EQ(change->status.phase(), AttemptStatus::PREPARING);  // two
  change = table.NextAfter(change->version);
  EXPECT_EQ(change->status.phase(), AttemptStatus::ENDED) << "only the newest state of one";
  EXPECT_FALSE(table.NextAfter(change->version).has_value());
  table.Remove(one);
  EXPECT_FALSE(table.Find(one).has_value());
  EXPECT_EQ(table.List().size(), 1u);
}

TEST(AttemptTable, KnowsTheNewestAttemptOfAJob) {
  AttemptTable table;
  table.Set({"b", 1}, {});
  table.Set({"b", 12}, {});
  table.Set({"c", 3}, {});
  EXPECT_EQ(table.NewestAttempt("a"), 0);
  EXPECT_EQ(table.NewestAttempt("b"), 12);
  EXPECT_EQ(table.NewestAttempt("d"), 0);
}

TEST(AttemptTable, SubscriptionsEnd) {
  AttemptTable table;
  int calls = 0;
  auto subscription = table.Subscribe([&] { ++calls; });
  table.Set({"a", 1}, Status(AttemptStatus::RUNNING));
  EXPECT_EQ(calls, 1);
  table.Set({"a", 1}, Status(AttemptStatus::RUNNING));
  EXPECT_EQ(calls, 1) << "nothing has changed";
  subscription.reset();
  table.Set({"a", 1}, Status(AttemptStatus::ENDED));
  EXPECT_EQ(calls, 1);
}

TEST(WatchOrder, TellsEachAttemptBeforeItIsSynced) {
  AttemptTable table;
  const AttemptId one{"one", 1}, two{"two", 1};
  const auto set = [&table](const AttemptId& id, AttemptStatus::Phase phase) {
    AttemptStatus status = Status(phase);
    status.set_job_uid(id.job_uid);
    status.set_attempt(id.attempt);
    table.Set(id, status);
  };
  set(one, AttemptStatus::PREPARING);
  set(two, AttemptStatus::PREPARING);
  WatchOrder order({one, two});
  set(one, AttemptStatus::RUNNING);  // its version is now newer than all that were there at the beginning
  std::string told;
  std::int64_t seen = 0;
  for (int i = 0; i < 4; ++i) {
    const auto change = table.NextAfter(seen);
    const auto message = order.Next(
        change ? std::optional<AttemptId>({change->status.job_uid(), change->status.attempt()}) : std::nullopt);
    if (message == WatchOrder::Message::kChange) {
      seen = change->version;
      told += change->status.job_uid() + " ";
    } else {
      told += message == WatchOrder::Message::kSynced ? "synced " : "nothing ";
    }
  }
  EXPECT_EQ(told, "two one synced nothing ");
}

TEST(WatchOrder, IsSyncedThoughAnAttemptHasGone) {
  WatchOrder order({{"one", 1}});
  EXPECT_EQ(order.Next(std::nullopt), WatchOrder::Message::kSynced);
  EXPECT_EQ(order.Next(AttemptId{"two", 1}), WatchOrder::Message::kChange);
}

TEST(WatchOrder, DoesNotWaitForChangesThatNeverEnd) {
  WatchOrder order({{"one", 1}});
  EXPECT_EQ(order.Next(AttemptId{"one", 1}), WatchOrder::Message::kChange);
  EXPECT_EQ(order.Next(AttemptId{"two", 1}), WatchOrder::Message::kSynced) << "though there is a further change";
  EXPECT_EQ(order.Next(AttemptId{"two", 1}), WatchOrder::Message::kChange);
}

TEST(AttemptIds, AreDirectoryNames) {
  const AttemptId id{"01234567-89ab-4def-8123-456789abcdef", 12};
  EXPECT_EQ(Print(id), "01234567-89ab-4def-8123-456789abcdef.12");
  EXPECT_EQ(ParseAttemptId(Print(id)), id);
  for (const char* bad : {"", "x.1", "01234567-89ab-4def-8123-456789abcdef", "01234567-89ab-4def-8123-456789abcdef.0",
                          "01234567-89ab-4def-8123-456789abcdef.01", "01234567-89ab-4def-8123-456789abcdef.-1"})
    EXPECT_FALSE(ParseAttemptId(bad).has_value()) << bad;
}

TEST(RemoveTree, RemovesWhatItsOwnerHasLocked) {
  TemporaryDirectory directory;
  ASSERT_TRUE(MakeDirectories(directory / "a/b/c").ok());
  WriteAll(directory / "a/b/c/file", "x");
  WriteAll(directory / "outside", "x");
  std::filesystem::create_symlink(directory / "outside", directory / "a/b/link");
  for (const char* name : {"a/b/c", "a/b", "a"})
    std::filesystem::permissions(directory / name, std::filesystem::perms::owner_read);
  EXPECT_TRUE(RemoveTree(directory / "a").ok());
  EXPECT_FALSE(FileExists(directory / "a"));
  EXPECT_TRUE(FileExists(directory / "outside"));
  EXPECT_TRUE(RemoveTree(directory / "a").ok());
}

TEST(RemoveOutput, RemovesOneOutputAndFollowsNoLink) {
  TemporaryDirectory directory;
  for (const char* name : {"out/paul/census/7/1", "out/paul/census/8", "elsewhere/1"})
    ASSERT_TRUE(MakeDirectories(directory / name).ok());
  std::filesystem::create_symlink(directory / "elsewhere", directory / "out/paul/evil");
  const std::string volume = directory / "out";
  EXPECT_TRUE(RemoveOutput(volume, "paul/census/7").ok());
  EXPECT_FALSE(FileExists(directory / "out/paul/census/7"));
  EXPECT_TRUE(FileExists(directory / "out/paul/census/8"));
  EXPECT_TRUE(RemoveOutput(volume, "paul/census/7").ok()) << "gone already";
  EXPECT_TRUE(RemoveOutput(volume, "ada/none/1").ok()) << "has never written";
  EXPECT_TRUE(absl::IsFailedPrecondition(RemoveOutput(volume, "paul/evil/1")));
  EXPECT_TRUE(FileExists(directory / "elsewhere/1"));
  for (const char* bad : {"", "paul", "paul/census", "paul/census/", "../elsewhere/1", "/paul/census/8", "a/b/c/d"})
    EXPECT_TRUE(absl::IsInvalidArgument(RemoveOutput(volume, bad))) << bad;
}

}  // namespace
}  // namespace riseml::agent
