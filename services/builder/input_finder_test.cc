#include "services/builder/input_finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace riseml::builder {
namespace {

using internal::v1::CodeEntry;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;
using testing::UnorderedElementsAre;

// A tree of files with their texts; "-> x" is a link.
class Tree {
 public:
  std::map<std::string, std::string> files;

  CodeInputs Find(const std::string& step) const {
    const auto found =
        FindInputs(ReadsOf({step}), [this](const std::vector<std::string>& paths) { return Read(paths); });
    EXPECT_TRUE(found.ok()) << found.status();
    return found.value_or(CodeInputs());
  }
  std::vector<std::string> Names(const std::string& step) const {
    std::vector<std::string> names;
    for (const auto& [name, id] : Find(step).ids) names.push_back(name);
    return names;
  }

 private:
  absl::StatusOr<CodeEntries> Read(const std::vector<std::string>& paths) const {
    CodeEntries out;
    for (const std::string& path : paths) {
      CodeEntry entry;
      if (const auto it = files.find(path); it != files.end()) {
        const bool link = absl::StartsWith(it->second, "-> ");
        entry.set_kind(link ? CodeEntry::LINK : CodeEntry::FILE);
        entry.set_content(link ? it->second.substr(3) : it->second);
        entry.set_id(it->second);
      } else {
        const std::string prefix = path.empty() ? "" : path + "/";
        for (const auto& [name, text] : files) {
          if (!absl::StartsWith(name, prefix)) continue;
          const std::string child = name.substr(prefix.size(), name.find('/', prefix.size()) - prefix.size());
          const bool directory = name.size() > prefix.size() + child.size();
          CodeEntry& added = (*entry.mutable_children())[child];
          added.set_kind(directory ? CodeEntry::DIRECTORY : CodeEntry::FILE);
          added.set_id(absl::StrCat(added.id(), text));
          entry.set_kind(CodeEntry::DIRECTORY);
          entry.set_id(absl::StrCat(entry.id(), name, text));
        }
      }
      if (entry.kind() != CodeEntry::KIND_UNSPECIFIED) out[path] = entry;
    }
    return out;
  }
};

TEST(Case1StaleEnvironment, IncludesOfRequirementFilesAreInputs) {
  Tree tree;
  tree.files = {{"requirements.txt", "-r requirements/base.txt\n-c c.txt\n./w/x.whl\n-e ./lib\nsix  # -r no.txt\n"},
                {"requirements/base.txt", "--requirement=more.txt\nfile:../plain\n"},
                {"requirements/more.txt", "attrs"},
                {"c.txt", "six<2"},
                {"w/x.whl", "zip"},
                {"lib/setup.py", "setup(name='lib')"},
                {"lib/lib.py", "code"},
                {"plain/a.py", "a"},
                {"no.txt", ""},
                {"train.py", ""}};
  EXPECT_THAT(tree.Names("pip install -r requirements.txt"),
              UnorderedElementsAre("requirements.txt", "requirements/base.txt", "requirements/more.txt", "c.txt",
                                   "w/x.whl", "lib/setup.py", "plain/"));
}

TEST(Case1StaleEnvironment, DotInARequirementFileIsTheWholeTree) {
  Tree tree;
  tree.files = {{"reqs.txt", "."}, {"pkgx/__init__.py", "old"}, {"setup.py", ""}, {"riseml.yml", "a"}};
  const CodeInputs before = tree.Find("pip install -r reqs.txt");
  EXPECT_NE(before.everything_because, "");
  tree.files["riseml.yml"] = "b";
  EXPECT_EQ(tree.Find("pip install -r reqs.txt").tree, before.tree) << "the configuration is not part of it";
  tree.files["pkgx/__init__.py"] = "new";
  EXPECT_NE(tree.Find("pip install -r reqs.txt").tree, before.tree);
}

TEST(Case1StaleEnvironment, LinksCountWithTheirTargets) {
  Tree tree;
  tree.files = {{"requirements.txt", "-> env/base.txt"}, {"env/base.txt", "-r more.txt"}, {"env/more.txt", "six"}};
  EXPECT_THAT(tree.Names("pip install -r requirements.txt"),
              UnorderedElementsAre("requirements.txt", "env/base.txt", "env/more.txt"));
}

TEST(Case1StaleEnvironment, ScriptsSayWhyEverythingCounts) {
  Tree tree;
  tree.files = {{"setup.sh", "pip install six"}};
  EXPECT_THAT(tree.Find("bash setup.sh").everything_because, HasSubstr("`bash setup.sh`"));
  EXPECT_THAT(tree.Find("bash setup.sh").ids, testing::IsEmpty());
}

TEST(Case1StaleEnvironment, ToolsLockFilesAndLocalDependenciesAreInputs) {
  Tree tree;
  tree.files = {{"pyproject.toml",
                 "[project]\nname='a'\nreadme = \"README.md\"\n[tool.uv.workspace]\nmembers = [\"packages/*\"]\n"
                 "[tool.uv.sources]\nb = { path = \"libs/b\" }\nc = { path = \"libs/c\", editable = true }\n"},
                {"uv.lock", "version = 1\n"},
                {"README.md", "text"},
                {"packages/p/pyproject.toml", "[project]\n"},
                {"libs/b/b.py", "b"},
                {"libs/c/pyproject.toml", "[project]\n"},
                {"libs/c/c.py", "c"},
                {"src/a/__init__.py", "a"}};
  EXPECT_THAT(tree.Names("uv sync"),
              UnorderedElementsAre("pyproject.toml", "uv.lock", "README.md", "packages/p/pyproject.toml", "libs/b/",
                                   "libs/c/pyproject.toml"));
}

TEST(Case22EditableInstall, DependsOnWhatPackagingReadsOnly) {
  Tree tree;
  tree.files = {
      {"pyproject.toml",
       "[build-system]\nrequires=['setuptools>=64']\n[project]\nname='mypkg'\nreadme='docs/README.md'\n"
       "[tool.setuptools.dynamic]\nversion = {attr = \"mypkg.version.V\"}\n"},
      {"setup.py", "from setuptools import setup\nsetup(long=open(os.path.join(here, 'reqs', 'base.txt')).read())\n"},
      {"docs/README.md", "x"},
      {"docs/other.md", "x"},
      {"reqs/base.txt", "six"},
      {"src/mypkg/version.py", "V = 1"},
      {"src/mypkg/model.py", "M = 1"},
      {"tools/__init__.py", ""}};
  EXPECT_THAT(tree.Names("pip install -e . numpy"),
              UnorderedElementsAre("pyproject.toml", "setup.py", "docs/README.md", "reqs/base.txt",
                                   "src/mypkg/version.py", "tools/__init__.py"));
}

TEST(Case22EditableInstall, CompiledExtensionsDependOnEverything) {
  Tree tree;
  tree.files = {{"setup.py", "setup(ext_modules=[Extension('fast', ['fast.c'])])"}, {"fast.c", "int x;"}};
  EXPECT_THAT(tree.Find("pip install -e .").everything_because, HasSubstr("ext_modules"));
  tree.files = {{"sub/setup.py", "setup(ext_modules=[])"}, {"sub/fast.c", "int x;"}, {"train.py", ""}};
  EXPECT_THAT(tree.Names("pip install -e ./sub"), UnorderedElementsAre("sub/setup.py", "sub/"));
}

TEST(FindInputs, ImportsOfTheProjectCount) {
  Tree tree;
  tree.files = {{"src/mypkg/__init__.py", ""}};
  EXPECT_NE(tree.Find("python -c 'import mypkg'").everything_because, "");
  EXPECT_EQ(tree.Find("python -c 'import nltk'").everything_because, "");
}

TEST(FindInputs, IncludesThatGoInCirclesEnd) {
  Tree tree;
  tree.files = {{"a.txt", "-r b.txt"}, {"b.txt", "-r a.txt"}};
  EXPECT_THAT(tree.Find("pip install -r a.txt").ids, ElementsAre(Key("a.txt"), Key("b.txt")));
}

}  // namespace
}  // namespace riseml::builder
