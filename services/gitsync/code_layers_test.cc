// Layers of images made of revisions: how trees are divided, and what the archives hold.
#include "services/gitsync/code_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/gitsync/testing/push_fixture.h"

namespace riseml::gitsync {
namespace {

using git::Mode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CodeLayersTest : public PushTest {
 protected:
  // Pushes a tree with the directories small, src/large and src/other, a file "top", and a content of src/other.
  git::ObjectId PushTree(const std::string& other) {
    PushBuilder push;
    const auto large = push.Tree({{"data", Mode::kFile, push.Blob(std::string(5'000, 'x'))}});
    const auto changing = push.Tree({{"code.py", Mode::kFile, push.Blob(other)},
                                     {"run", Mode::kExecutable, push.Blob("r")},
                                     {"z", Mode::kFile, push.Blob("z")}});
    const auto src = push.Tree({{"large", Mode::kDirectory, large},
                                {"main.py", Mode::kFile, push.Blob("m")},
                                {"other", Mode::kDirectory, changing}});
    const auto small = push.Tree({{"a", Mode::kFile, push.Blob("1")}, {"link", Mode::kSymlink, push.Blob("a")}});
    const auto tree = push.Tree(
        {{"small", Mode::kDirectory, small}, {"src", Mode::kDirectory, src}, {"top", Mode::kFile, push.Blob("t")}});
    const auto response = Push(push, tree, head_);
    EXPECT_TRUE(response.ok()) << response.status();
    head_ = response->revision().commit();
    repository_ = std::make_unique<Repository>(*store_->OpenRepository(ProjectId{registry_.UidOf(kProject)}));
    return tree;
  }
  std::vector<CodeLayer> Divide(const git::ObjectId& tree, const CodeLayerOptions& options) {
    auto layers = DivideCode(repository_->objects(), tree, options);
    EXPECT_TRUE(layers.ok()) << layers.status();
    return *layers;
  }
  std::string Archive(const git::ObjectId& tree, const CodeLayer& layer) {
    std::string bytes;
    const absl::Status written = WriteCodeLayer(repository_->objects(), tree, layer, [&bytes](absl::string_view piece) {
      absl::StrAppend(&bytes, piece);
      return absl::OkStatus();
    });
    EXPECT_TRUE(written.ok()) << written;
    return bytes;
  }
  std::string Listing(const std::string& tar, const std::string& columns) {
    data_.Write("layer.tar", tar);
    const CommandResult result = RunShell(
        absl::StrCat("tar -t -v --numeric-owner --utc -f ", data_.File("layer.tar"), " | awk '{print ", columns, "}'"));
    EXPECT_EQ(result.exit_code, 0) << result.output;
    return result.output;
  }

  static constexpr CodeLayerOptions kDivide{.most_layers = 3, .divide_files = 2};
  std::string head_;
  std::unique_ptr<Repository> repository_;
};

TEST_F(CodeLayersTest, ASmallTreeIsOneLayer) {
  const git::ObjectId tree = PushTree("1");
  const std::vector<CodeLayer> layers = Divide(tree, {});
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_TRUE(layers[0].directories.empty());
  EXPECT_EQ(layers[0].files, 8);
  EXPECT_EQ(layers[0].id.size(), 64U);
  EXPECT_EQ(Listing(Archive(tree, layers[0]), "$1, $2, $4, $6"),
            "drwxrwxr-x 0/0 2000-01-01 code/\n"
            "drwxrwxr-x 0/0 2000-01-01 code/small/\n"
            "-rw-rw-r-- 0/0 2000-01-01 code/small/a\n"
            "lrwxrwxrwx 0/0 2000-01-01 code/small/link\n"
            "drwxrwxr-x 0/0 2000-01-01 code/src/\n"
            "drwxrwxr-x 0/0 2000-01-01 code/src/large/\n"
            "-rw-rw-r-- 0/0 2000-01-01 code/src/large/data\n"
            "-rw-rw-r-- 0/0 2000-01-01 code/src/main.py\n"
            "drwxrwxr-x 0/0 2000-01-01 code/src/other/\n"
            "-rw-rw-r-- 0/0 2000-01-01 code/src/other/code.py\n"
            "-rwxrwxr-x 0/0 2000-01-01 code/src/other/run\n"
            "-rw-rw-r-- 0/0 2000-01-01 code/src/other/z\n"
            "-rw-rw-r-- 0/0 2000-01-01 code/top\n");
}

TEST_F(CodeLayersTest, ALargeTreeIsDividedAndTheLayersMakeItAgain) {
  const git::ObjectId tree = PushTree("1");
  const std::vector<CodeLayer> layers = Divide(tree, kDivide);
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_THAT(layers[0].directories, ElementsAre("src/large"))
      << "src has most of the weight, so its directories are looked at";
  EXPECT_THAT(layers[1].directories, ElementsAre("src/other"));
  EXPECT_TRUE(layers[2].directories.empty());
  EXPECT_THAT(layers[2].except, ElementsAre("src/large", "src/other"));
  EXPECT_EQ(layers[0].files + layers[1].files + layers[2].files, 8);
  EXPECT_EQ(Listing(Archive(tree, layers[0]), "$6"), "code/\ncode/src/\ncode/src/large/\ncode/src/large/data\n");
  EXPECT_EQ(Listing(Archive(tree, layers[2]), "$6"),
            "code/\ncode/small/\ncode/small/a\ncode/small/link\ncode/src/\ncode/src/main.py\ncode/top\n");
  std::string all = "set -e; cd " + data_.path() + "; mkdir whole parts";
  data_.Write("whole.tar", Archive(tree, Divide(tree, {})[0]));
  all += "; tar -x -f whole.tar -C whole";
  for (std::size_t i = 0; i < layers.size(); ++i) {
    data_.Write(absl::StrCat(i, ".tar"), Archive(tree, layers[i]));
    absl::StrAppend(&all, "; tar -x -f ", i, ".tar -C parts");
  }
  const CommandResult result = RunShell(all + "; diff -r --no-dereference whole parts");
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST_F(CodeLayersTest, AnEditChangesOneLayer) {
  const git::ObjectId before = PushTree("1");
  const std::vector<CodeLayer> old = Divide(before, kDivide);
  std::vector<std::string> archives;
  for (const CodeLayer& layer : old) archives.push_back(Archive(before, layer));
  clock_.Advance(absl::Hours(24));
  const git::ObjectId after = PushTree("2");
  const std::vector<CodeLayer> now = Divide(after, kDivide);
  ASSERT_EQ(now.size(), old.size());
  for (std::size_t i = 0; i < now.size(); ++i) {
    const bool edited = now[i].directories == std::vector<std::string>{"src/other"};
    EXPECT_EQ(now[i].id != old[i].id, edited) << i;
    EXPECT_EQ(Archive(after, now[i]) != archives[i], edited) << i;
  }
}

TEST_F(CodeLayersTest, ManySmallDirectoriesAreSpreadAndStayInTheirLayer) {
  limits_.files = 1'000;
  OpenStore();
  PushBuilder push;
  const auto tree_of = [&push](int directories, const std::string& content) {
    std::vector<git::TreeEntry> entries;
    for (int i = 0; i < directories; ++i) {
      const std::string text = i == 7 ? content : absl::StrCat("file ", i);
      entries.push_back({absl::StrCat("d", i), Mode::kDirectory, push.Tree({{"f", Mode::kFile, push.Blob(text)}})});
    }
    return push.Tree(entries);
  };
  const git::ObjectId before = tree_of(100, "1"), edited = tree_of(100, "2"), more = tree_of(101, "1");
  const git::ObjectId all =
      push.Tree({{"a", Mode::kDirectory, before}, {"b", Mode::kDirectory, edited}, {"c", Mode::kDirectory, more}});
  ASSERT_TRUE(Push(push, all).ok());
  repository_ = std::make_unique<Repository>(*store_->OpenRepository(ProjectId{registry_.UidOf(kProject)}));
  const CodeLayerOptions options{.divide_files = 50};
  const std::vector<CodeLayer> old = Divide(before, options);
  ASSERT_EQ(old.size(), 4U);
  for (const CodeLayer& layer : old) EXPECT_GT(layer.files, 10);
  for (const git::ObjectId& tree : {edited, more}) {
    const std::vector<CodeLayer> now = Divide(tree, options);
    ASSERT_EQ(now.size(), 4U);
    int changed = 0;
    for (std::size_t i = 0; i < now.size(); ++i) changed += now[i].id != old[i].id ? 1 : 0;
    // A new directory in another layer than the root's changes what the root leaves out, but not what the root holds.
    EXPECT_EQ(changed, 1);
  }
}

TEST_F(CodeLayersTest, RefusesNamesThatMeanDeletedFiles) {
  PushBuilder push;
  const auto inner = push.Tree({{".wh.passwd", Mode::kFile, push.Blob("x")}});
  const auto tree = push.Tree({{"etc", Mode::kDirectory, inner}});
  ASSERT_TRUE(Push(push, tree).ok());
  const Repository repository = *store_->OpenRepository(ProjectId{registry_.UidOf(kProject)});
  const auto layers = DivideCode(repository.objects(), tree);
  ASSERT_TRUE(layers.ok());
  const absl::Status written =
      WriteCodeLayer(repository.objects(), tree, (*layers)[0], [](absl::string_view) { return absl::OkStatus(); });
  EXPECT_EQ(written.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(written.message()), HasSubstr("etc/.wh.passwd"));
}

TEST_F(CodeLayersTest, RefusesADirectoryThatIsNotThere) {
  const git::ObjectId tree = PushTree("1");
  const auto ignore = [](absl::string_view) { return absl::OkStatus(); };
  for (const char* directory : {"absent", "top", "small/a", "..", "src/../small"}) {
    const CodeLayer layer{.directories = {directory}};
    EXPECT_EQ(WriteCodeLayer(repository_->objects(), tree, layer, ignore).code(), absl::StatusCode::kNotFound)
        << directory;
  }
}

}  // namespace
}  // namespace riseml::gitsync
