// Tests of steps that are kept for later builds: copies with another key, limits, rights to remove them.
#include "services/agent/run/kept_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "services/agent/run/step_cache.h"
#include "services/agent/run/tree_copy.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using namespace riseml::agent::testing;
namespace fs = std::filesystem;

const std::string kOld(64, 'a'), kNew(64, 'b'), kOther(64, 'c');
const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

TEST(CopyTree, ReplacesAKeyWhereverItOccursAndKeepsLengths) {
  TemporaryDirectory dir;
  for (const char* name : {"from/bin", "to"}) ASSERT_TRUE(MakeDirectories(dir / name).ok());
  const std::string binary = std::string("\0\1", 2) + kOld + kOld + std::string("\0/x", 3);
  WriteAll(dir / "from/bin/tool", "#!/e/" + kOld + "/bin/python\n");
  fs::permissions(dir / "from/bin/tool", fs::perms::owner_all);
  WriteAll(dir / "from/binary", binary);
  WriteAll(dir / "from/other", kOld.substr(1) + kOther);
  WriteAll(dir / "from/empty", "");
  WriteAll(dir / ("from/of-" + kOld), "");
  fs::create_symlink("/e/" + kOld + "/bin", dir / "from/link");
  fs::last_write_time(dir / "from/binary", fs::file_time_type::clock::now() - std::chrono::hours(5));

  const auto files = FilesHolding(dir / "from", kOld);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files, UnorderedElementsAre("bin/tool", "binary"));
  const absl::Status copied =
      CopyTree(dir / "from", dir / "to",
               {.wants = nullptr, .replacement = {kOld, kNew}, .files = {files->begin(), files->end()}, .stop = {}});
  ASSERT_TRUE(copied.ok()) << copied;
  EXPECT_EQ(ReadAll(dir / "to/bin/tool"), "#!/e/" + kNew + "/bin/python\n");
  EXPECT_EQ(fs::status(dir / "to/bin/tool").permissions() & fs::perms::owner_exec, fs::perms::owner_exec);
  EXPECT_EQ(ReadAll(dir / "to/binary"), std::string("\0\1", 2) + kNew + kNew + std::string("\0/x", 3));
  EXPECT_EQ(fs::last_write_time(dir / "to/binary"), fs::last_write_time(dir / "from/binary")) << "caches rely on it";
  EXPECT_EQ(ReadAll(dir / "to/other"), kOld.substr(1) + kOther);
  EXPECT_TRUE(FileExists(dir / ("to/of-" + kNew)));
  EXPECT_EQ(fs::read_symlink(dir / "to/link"), "/e/" + kNew + "/bin");
  EXPECT_EQ(ReadAll(dir / "from/binary"), binary) << "the source stays";
}

TEST(CopyTree, TheSameKeyStaysAndOtherLengthsAreRefused) {
  TemporaryDirectory dir;
  for (const char* name : {"from", "to"}) ASSERT_TRUE(MakeDirectories(dir / name).ok());
  WriteAll(dir / "from/a", kOld);
  CopyRules rules{.wants = nullptr, .replacement = {kOld, kOld}, .files = {"a"}, .stop = {}};
  EXPECT_TRUE(CopyTree(dir / "from", dir / "to", rules).ok());
  EXPECT_EQ(ReadAll(dir / "to/a"), kOld);
  rules.replacement.to = "short";
  EXPECT_FALSE(CopyTree(dir / "from", dir / "to", rules).ok());
}

// Keeps an entry of so many bytes.
void Keep(const std::string& directory, const std::string& key, std::int64_t bytes = 1) {
  auto kept = NewKeptSteps::Create(directory);
  ASSERT_TRUE(kept.ok()) << kept.status();
  WriteAll(kept->path() + kKeptEnvironment + "/file", key);
  internal::v1::KeptSteps description;
  description.set_environment_key(kOther);
  description.set_bytes(bytes);
  ASSERT_TRUE(kept->Publish(description, key).ok());
}

std::vector<std::string> EntriesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

TEST(KeptSteps, AnEntryAppearsWholeOrNotAtAll) {
  TemporaryDirectory dir;
  const std::string steps = dir / "steps";
  {
    const auto kept = NewKeptSteps::Create(steps);
    ASSERT_TRUE(kept.ok()) << kept.status();
    EXPECT_EQ(EntriesIn(steps).size(), 1u);
    EXPECT_FALSE(HasKeptSteps(steps, kNew));
  }
  EXPECT_THAT(EntriesIn(steps), IsEmpty()) << "it was not published";
  Keep(steps, kNew);
  EXPECT_TRUE(HasKeptSteps(steps, kNew));
  Keep(steps, kNew);
  EXPECT_THAT(EntriesIn(steps), ElementsAre(kNew)) << "the first one stays";
}

TEST(KeptSteps, WhatIsHeldStaysAndWhatIsRemovedIsNotFound) {
  TemporaryDirectory dir;
  const std::string steps = dir / "steps";
  const KeptLimits none{.bytes = 0, .age = absl::Hours(1)};
  Keep(steps, kNew);
  {
    const auto held = HoldKeptSteps(steps, kNew, kNow);
    ASSERT_TRUE(held.ok()) << held.status();
    EXPECT_EQ(held->description.environment_key(), kOther);
    EXPECT_TRUE(TrimKeptSteps(steps, none, kNow).ok());
    EXPECT_TRUE(HasKeptSteps(steps, kNew)) << "it is being copied";
    EXPECT_TRUE(RemoveKeptSteps(steps, kNew).ok());
    EXPECT_FALSE(HasKeptSteps(steps, kNew)) << "nobody else finds it";
    EXPECT_EQ(EntriesIn(steps).size(), 1u) << "it is still being copied";
    EXPECT_FALSE(HoldKeptSteps(steps, kNew, kNow).ok());
  }
  EXPECT_TRUE(TrimKeptSteps(steps, none, kNow).ok());
  EXPECT_THAT(EntriesIn(steps), IsEmpty());
  EXPECT_TRUE(RemoveKeptSteps(steps, kNew).ok()) << "nothing to do";
}

TEST(KeptSteps, WhatWasBrokenOffIsRemovedAndWhatIsBeingMadeIsNot) {
  TemporaryDirectory dir;
  const std::string steps = dir / "steps";
  const KeptLimits limits{.bytes = 1000, .age = absl::Hours(1)};
  EXPECT_TRUE(TrimKeptSteps(steps, limits, kNow).ok()) << "no directory yet";
  const auto made = NewKeptSteps::Create(steps);
  ASSERT_TRUE(made.ok());
  const std::string being_made = fs::path(made->path()).filename().string();
  ASSERT_TRUE(MakeDirectories(steps + "/.new-broken-off").ok());
  WriteAll(steps + "/.new-broken-off/lock", "");
  ASSERT_TRUE(MakeDirectories(steps + "/.removed-half").ok());
  ASSERT_TRUE(MakeDirectories(steps + "/" + kOld).ok());  // without a description
  EXPECT_TRUE(TrimKeptSteps(steps, limits, kNow).ok());
  EXPECT_THAT(EntriesIn(steps), ElementsAre(being_made));
}

TEST(KeptSteps, ALinkInPlaceOfTheDirectoryIsNotFollowed) {
  TemporaryDirectory dir;
  Keep(dir / "others", kNew);
  fs::create_directory_symlink(dir / "others", dir / "steps");
  TrimKeptSteps(dir / "steps", {.bytes = 0, .age = absl::ZeroDuration()}, kNow).IgnoreError();
  EXPECT_TRUE(HasKeptSteps(dir / "others", kNew));
}

TEST(BeyondLimits, OldOnesGoThenThoseUsedLongestAgo) {
  const std::vector<KeptEntry> entries = {{"new", 60, kNow - absl::Minutes(1)},
                                          {"middle", 30, kNow - absl::Hours(2)},
                                          {"old", 30, kNow - absl::Hours(3)},
                                          {"ancient", 1, kNow - absl::Hours(30)}};
  const auto beyond = [&entries](std::int64_t bytes, absl::Duration age) {
    return BeyondLimits(entries, {.bytes = bytes, .age = age}, kNow);
  };
  EXPECT_THAT(beyond(1000, absl::Hours(100)), IsEmpty());
  EXPECT_THAT(beyond(1000, absl::Hours(24)), ElementsAre("ancient"));
  EXPECT_THAT(beyond(100, absl::Hours(100)), ElementsAre("ancient", "old"));
  EXPECT_THAT(beyond(0, absl::Hours(100)), ElementsAre("ancient", "old", "middle", "new"));
}

TEST(StepsKept, TheMostStepsWithAnEntryCount) {
  TemporaryDirectory dir;
  internal::v1::RunPlan plan;
  for (const std::string& key : {kOld, kNew, kOther, std::string()}) plan.add_build_steps()->set_prefix_key(key);
  EXPECT_EQ(StepsKept(plan, dir.path()), 0);
  Keep(dir.path(), kOld);
  EXPECT_EQ(StepsKept(plan, dir.path()), 1);
  Keep(dir.path(), kOther);
  EXPECT_EQ(StepsKept(plan, dir.path()), 3);
  plan.mutable_build_steps(2)->set_prefix_key(std::string(64, 'd'));
  EXPECT_EQ(StepsKept(plan, dir.path()), 1);
}

TEST(StepsKept, WorthItIsWhatTakesLongerThanTwoCopies) {
  const TreeSize size{.files = 10'000, .bytes = 1'000'000'000};
  EXPECT_GT(ExpectedCopy(size), absl::ZeroDuration());
  EXPECT_TRUE(IsWorthKeeping(2 * ExpectedCopy(size), size));
  EXPECT_FALSE(IsWorthKeeping(1.9 * ExpectedCopy(size), size));
  EXPECT_EQ(NameSteps(1, 3), "Step 1 of 3 is");
  EXPECT_EQ(NameSteps(2, 3), "Steps 1-2 of 3 are");
}

}  // namespace
}  // namespace riseml::agent
