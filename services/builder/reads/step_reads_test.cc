#include "services/builder/reads/step_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/builder/reads/shell_words.h"
#include "services/builder/reads/system_tools.h"

namespace riseml::builder {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;

StepReads Reads(const std::string& step) { return ReadsOf({step}); }

TEST(StepReads, ValueOfAnOptionIsARequirementFile) {
  for (const char* step :
       {"pip install -r r.txt", "pip install -rr.txt", "pip install --requirement=r.txt", "pip3 install -c r.txt",
        "python3 -m pip install -r ./r.txt", "uv pip install -r r.txt", "uv pip sync r.txt",
        "pip install -r /code/r.txt", "pip install -r $PWD/r.txt", "bash -ec 'pip install -r r.txt'",
        "if true; then pip install -r r.txt; fi", "pip install $(cat r.txt)", "xargs pip install < r.txt",
        "PIP_X=1 sudo -E pip install -r 'r.txt' # comment ' here"}) {
    EXPECT_THAT(Reads(step).requirements, Contains("r.txt")) << step;
    EXPECT_EQ(Reads(step).everything_because, "") << step;
  }
}

TEST(StepReads, LocalTargetsAreFilesOrDirectories) {
  EXPECT_THAT(Reads("pip install ./lib ./x.whl 'y @ file:./z' file:w numpy torch==2 dist/*.whl").files,
              IsSupersetOf({"lib", "x.whl", "z", "w", "dist"}));
  for (const char* step : {"pip install .", "pip install ./", "pip install '.[dev]'", "pip install .[dev]",
                           "pip install $PWD", "pip install file:///code", "pip install /code"})
    EXPECT_THAT(Reads(step).files, Contains("")) << step;
  EXPECT_THAT(Reads("pip install https://x.org/y.whl git+https://x.org/y --index-url https://i/simple six").files,
              IsEmpty());
}

TEST(StepReads, DirectReferencesAndPrintedPathsAreTargets) {
  for (const char* step : {"pip install 'pkgx @ file:///code'", "pip install pkgx@file:///code",
                           "uv pip install 'pkgx @ file:///code#egg=pkgx'", "pip install 'pkgx @ .'"})
    EXPECT_THAT(Reads(step).files, Contains("")) << step;
  EXPECT_THAT(Reads("pip install 'libx @ file:///code/lib'").files, Contains("lib"));
  EXPECT_THAT(Reads("pip install -e 'file:///code#egg=pkgx'").projects, Contains(""));
  for (const char* step :
       {"pip install $(pwd)", "pip install `pwd`", "pip install \"$(dirname setup.py)\"", "pip install -e $(pwd)"})
    EXPECT_NE(Reads(step).everything_because, "") << step;
}

TEST(StepReads, VariablesOfPipAndUvNameFiles) {
  for (const char* step : {"PIP_CONSTRAINT=c.txt pip install six", "export PIP_CONSTRAINT=c.txt; pip install six",
                           "env PIP_REQUIREMENT=c.txt pip install", "UV_CONSTRAINT=c.txt; export UV_CONSTRAINT",
                           "UV_OVERRIDE='a.txt c.txt' uv sync"})
    EXPECT_THAT(Reads(step).requirements, Contains("c.txt")) << step;
  EXPECT_NE(Reads("PIP_CONSTRAINT=$C pip install six").everything_because, "");
}

TEST(StepReads, RequirementFilesElsewhereAreNamed) {
  EXPECT_THAT(Reads("pip install -r /data/reqs/r.txt").outside, testing::ElementsAre("/data/reqs/r.txt"));
  EXPECT_THAT(Reads("pip install -r /code/r.txt").outside, IsEmpty());
}

TEST(StepReads, EditableInstallReadsWhatPackagingReads) {
  for (const char* step :
       {"pip install -e .", "pip install -e '.[dev]' numpy", "pip install --editable=.", "uv pip install -e .",
        "poetry install", "uv sync", "pdm install", "pipenv install", "python setup.py develop", "pip install -e."}) {
    EXPECT_THAT(Reads(step).projects, Contains("")) << step;
    EXPECT_EQ(Reads(step).everything_because, "") << step;
    EXPECT_THAT(Reads(step).files, testing::Not(Contains(""))) << step;
  }
}

TEST(StepReads, ToolsReadTheirLockFilesByThemselves) {
  EXPECT_THAT(Reads("uv sync").requirements, Contains("uv.lock"));
  EXPECT_THAT(Reads("poetry install").requirements, Contains("poetry.lock"));
  EXPECT_THAT(Reads("pdm sync").requirements, Contains("pdm.lock"));
  EXPECT_THAT(Reads("pipenv sync").requirements, IsSupersetOf({"Pipfile", "Pipfile.lock"}));
  EXPECT_THAT(Reads("conda env update -f env/gpu.yml").requirements, IsSupersetOf({"environment.yml", "env/gpu.yml"}));
}

TEST(StepReads, ScriptsAndUnknownProgramsMayReadEverything) {
  for (const char* step :
       {"bash setup.sh", "sh -x ./setup.sh", "python install_deps.py", "make", "./install.sh", "source setup.sh",
        ". ./env.sh", "cargo build", "uv run python prepare.py", "python setup.py install", "bash < x.sh",
        "pip install *.whl", "pip install -r $FILE", "cd $DIR && pip install ."})
    EXPECT_NE(Reads(step).everything_because, "") << step;
  EXPECT_THAT(Reads("bash setup.sh --fast").everything_because, HasSubstr("`bash setup.sh --fast`"));
}

TEST(StepReads, OrdinaryCommandsReadOnlyWhatTheyName) {
  for (const char* step :
       {"echo hello > x", "mkdir -p a/b && echo x > a/b/c", "git clone https://x.org/y third_party/y",
        "curl -LsSf https://astral.sh/uv/install.sh | sh", "python -c 'import sys; print(sys.prefix)'",
        "python -m nltk.downloader punkt", "export A=$(nproc)", "source .venv/bin/activate", "wget -O x https://y/$V",
        "python - <<'EOF'\nimport nltk\nnltk.download('punkt')\nEOF", "for p in six attrs; do echo $p; done",
        "pip install --index-url https://me:$TOKEN@x/simple six", "mkdir -p ~/nltk_data", "pip install \"torch==$V\""})
    EXPECT_EQ(Reads(step).everything_because, "") << step;
  EXPECT_THAT(Reads("cp conf/pip.conf ~/.pip/pip.conf").requirements, Contains("conf/pip.conf"));
}

TEST(StepReads, CodeOfACommandMayImportTheProject) {
  EXPECT_THAT(Reads("python -c 'from mypkg.data import get; get()'").modules, Contains("mypkg"));
  EXPECT_THAT(Reads("python -m mypkg.prepare").modules, Contains("mypkg"));
  EXPECT_THAT(Reads("python -c 'open(\"data/list.txt\")'").files, Contains("data/list.txt"));
}

TEST(StepReads, DirectoriesAreFollowedAcrossSteps) {
  EXPECT_THAT(ReadsOf({"cd sub", "pip install -r r.txt"}).requirements, ElementsAre("r.txt", "sub/r.txt"));
  EXPECT_THAT(Reads("cd sub && pip install .").files, Contains("sub"));
}

TEST(SplitCommands, HereDocumentBelongsToItsCommand) {
  const auto commands = SplitCommands("python - <<EOF && echo x\nimport a\nEOF\necho y");
  ASSERT_EQ(commands.size(), 3u);
  EXPECT_EQ(commands[0].here_document, "import a\n");
}

TEST(SystemPackageTool, IsFoundWhereACommandStarts) {
  EXPECT_EQ(SystemPackageTool("apt-get install -y gcc"), "apt-get");
  EXPECT_EQ(SystemPackageTool("pip install x && sudo -E apt install gcc"), "apt");
  EXPECT_EQ(SystemPackageTool("DEBIAN_FRONTEND=noninteractive /usr/bin/apt-get update"), "apt-get");
  EXPECT_EQ(SystemPackageTool("(dpkg -i x.deb)"), "dpkg");
  EXPECT_EQ(CondaTool("conda install numpy"), "conda");
  EXPECT_EQ(CondaTool("pip install conda"), "");
}

TEST(SystemPackageTool, IsNotFoundAmongArguments) {
  EXPECT_EQ(SystemPackageTool("pip install apt"), "");
  EXPECT_EQ(SystemPackageTool("echo 'apt-get install'; pip install conda"), "");
  EXPECT_EQ(SystemPackageTool(""), "");
}

}  // namespace
}  // namespace riseml::builder
