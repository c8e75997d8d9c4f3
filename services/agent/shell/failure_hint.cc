#include "services/agent/shell/failure_hint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;
constexpr int kSyntax = 2;
constexpr int kBrokenPipe = 141;
constexpr std::int64_t kScriptBytes = 4096;
constexpr std::size_t kMaxNameBytes = 200;
constexpr absl::string_view kInstallers[] = {"pip", "pip3", "uv", "poetry", "pdm", "pipenv", "conda", "mamba"};
constexpr absl::string_view kInstallVerbs[] = {"install", "sync", "add", "env"};
constexpr absl::string_view kReaders[] = {"bash", "sh", "dash", "source", "."};
constexpr absl::string_view kRefusals[] = {"externally-managed-environment",
                                           "externally managed",
                                           "Read-only file system",
                                           "Permission denied",
                                           "os error 30",
                                           "os error 13"};

// Failures whose remedy is a variable that every job has.
struct Complaint {
  absl::string_view said, hint;
};
constexpr absl::string_view kOwnPort =
    "Another program on the node has this port: write $PORT for a server and $MASTER_PORT for torch.distributed, which "
    "are different in each job";
constexpr absl::string_view kNoRepository = "not a git repository";
constexpr absl::string_view kGitHint =
    "Jobs get the project without its .git: its commit, branch and whether it had changes are in $RISEML_GIT_COMMIT, "
    "$RISEML_GIT_BRANCH and $RISEML_GIT_DIRTY";
constexpr Complaint kComplaints[] = {
    {"Address already in use", kOwnPort},
    {"address already in use", kOwnPort},
    {"EADDRINUSE", kOwnPort},
    {kNoRepository, kGitHint},
};

constexpr int kEndLines = 10;

// The last traceback of a program and what follows, or its last lines. Earlier errors did not end it.
absl::string_view LastWords(absl::string_view output) {
  if (const std::size_t traceback = output.rfind("Traceback (most recent call last)");
      traceback != absl::string_view::npos)
    return output.substr(traceback);
  std::size_t begin = output.size();
  for (int i = 0; i <= kEndLines && begin > 0 && begin != absl::string_view::npos; ++i)
    begin = output.rfind('\n', begin - 1);
  return begin == absl::string_view::npos ? output : output.substr(begin);
}

std::vector<absl::string_view> LastLinesFirst(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  std::ranges::reverse(lines);
  return lines;
}

// The text between `before` (its last occurrence) and `after` in a line; empty when they are not there.
absl::string_view Between(absl::string_view line, absl::string_view before, absl::string_view after) {
  const std::size_t end = line.rfind(after);
  if (end == absl::string_view::npos) return {};
  const std::size_t begin = line.rfind(before, end == 0 ? 0 : end - 1);
  if (begin == absl::string_view::npos || begin + before.size() > end) return {};
  const absl::string_view name = line.substr(begin + before.size(), end - begin - before.size());
  return name.size() <= kMaxNameBytes ? absl::StripAsciiWhitespace(name) : absl::string_view();
}

std::string Clean(absl::string_view name) {
  return absl::StrReplaceAll(name, {{"'", ""}, {"‘", ""}, {"’", ""}, {"$", ""}, {"\\r", ""}, {"\r", ""}, {"^M", ""}});
}

// The part of a line that installs packages, such as "pip install six" of "pip install six && python a.py"; empty when
// none does.
std::string InstallPart(absl::string_view line) {
  for (absl::string_view part : absl::StrSplit(line, absl::ByAnyChar("&;|\n"), absl::SkipEmpty())) {
    part = absl::StripAsciiWhitespace(part);
    const std::vector<absl::string_view> words = absl::StrSplit(part, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    const auto* const end = std::end(kInstallers);
    const auto tool = std::ranges::find_if(
        words, [&](absl::string_view word) { return std::find(std::begin(kInstallers), end, word) != end; });
    const bool installs =
        tool != words.end() && std::any_of(tool, words.end(), [](absl::string_view word) {
          return std::find(std::begin(kInstallVerbs), std::end(kInstallVerbs), word) != std::end(kInstallVerbs);
        });
    if (installs) return std::string(part.substr(0, kMaxNameBytes));
  }
  return "";
}

std::string HintAtInstaller(const Failure& failure) {
  const auto said = [&](absl::string_view part) { return absl::StrContains(failure.output, part); };
  constexpr absl::string_view kReadOnly =
      "Packages cannot be installed while a job runs, its environment is read-only: ";
  const std::string part = InstallPart(failure.line);
  if (!part.empty() && said("Can not perform a '--user' install"))
    return absl::StrCat(kReadOnly, "write `", part, "` without --user under `install:` instead");
  if (!part.empty() && std::ranges::any_of(kRefusals, said))
    return absl::StrCat(kReadOnly, "write `", part, "` under `install:` instead");
  if (said("externally-managed-environment") || (said("Read-only file system") && said("site-packages")))
    return absl::StrCat(kReadOnly, "put the command that installs them under `install:` instead");
  if (said("E: Could not open lock file") || said("E: Unable to lock directory") ||
      said("E: List directory /var/lib/apt"))
    return "Jobs cannot install system packages: add a Python package that contains the library under `install:`, or "
           "ask an administrator to install the package on the nodes";
  return "";
}

bool IsShellScript(const ScriptFacts& script) {
  const absl::string_view first = absl::string_view(script.start).substr(0, script.start.find('\n'));
  return absl::EndsWith(script.name, ".sh") || (absl::StartsWith(first, "#!") && absl::StrContains(first, "sh"));
}

std::string HintAtLineEndings(const ScriptFacts& script) {
  const std::size_t end = script.start.find('\n');
  const bool windows = end != std::string::npos && end > 0 && script.start[end - 1] == '\r';
  const bool matters = IsShellScript(script) || absl::StartsWith(script.start, "#!");
  if (!windows || !matters) return "";
  return absl::StrCat(script.name, " has the line endings of Windows: run `sed -i 's/\\r$//' ", script.name,
                      "` (or dos2unix) in your project and train again");
}

// The name that comes before a complaint such as ": Permission denied", in "FILE: line 1: NAME: Permission denied" or
// "sh: 1: NAME: not found".
std::string Complained(const Failure& failure, absl::string_view complaint) {
  for (const absl::string_view line : LastLinesFirst(failure.output))
    if (const absl::string_view name = Between(line, ": ", complaint); !name.empty()) return Clean(name);
  return "";
}

std::string HowToRun(absl::string_view script) {
  if (absl::EndsWith(script, ".py")) return absl::StrCat("python ", script);
  if (absl::EndsWith(script, ".sh")) return absl::StrCat("bash ", script);
  return "";
}

std::string HintAtScript(const ScriptFacts& script) {
  if (script.name.empty()) return "";
  const std::string run = HowToRun(script.name);
  const std::string instead = run.empty() ? "" : absl::StrCat(", or write `", run, "`");
  if (!script.executable)
    return absl::StrCat(script.name, " is not executable: run `chmod +x ", script.name,
                        "` in your project and train again", instead);
  if (!script.interpreter_exists)
    return absl::StrCat("The interpreter that the first line of ", script.name,
                        " names is not installed here: correct that line", instead);
  if (!absl::StartsWith(script.start, "#!") && absl::EndsWith(script.name, ".py"))
    return absl::StrCat(script.name,
                        " has no first line such as `#!/usr/bin/env python3` and was read by the shell: write `", run,
                        "`");
  return "";
}

// Programs that no install step can install.
constexpr Complaint kNotInstallable[] = {
    {"sudo", "Jobs do not run as root: remove `sudo`"},
    {"nvidia-smi", "There is no `nvidia-smi` in the job: the node has no NVIDIA driver, or the job asked for no GPU"},
};

std::string HintAtMissingProgram(const Failure& failure) {
  std::string name = Complained(failure, ": command not found");
  if (name.empty()) name = Complained(failure, ": not found");
  if (name.empty()) name = Complained(failure, ": No such file or directory");
  if (name.empty()) return "";
  if (absl::StrContains(name, '/'))
    return absl::StrCat(name, " does not exist in the job: is it part of the project, or left out by .gitignore?");
  for (const Complaint& program : kNotInstallable)
    if (name == program.said) return std::string(program.hint);
  const bool installer = std::find(std::begin(kInstallers), std::end(kInstallers), name) != std::end(kInstallers);
  return absl::StrCat("There is no program `", name, "` in the job: check its name, or install it under `install:`",
                      installer ? ", where the packages that it installs belong too" : "");
}

// "ModuleNotFoundError: No module named 'a.b'".
std::string HintAtMissingModule(const Failure& failure) {
  constexpr absl::string_view kSaid = "No module named ";
  const absl::string_view end = LastWords(failure.output);
  const std::size_t at = end.rfind(kSaid);
  if (at == absl::string_view::npos) return "";
  absl::string_view name = end.substr(at + kSaid.size());
  name = absl::StripSuffix(name.substr(0, name.find_first_of(" ;\n")), ".");
  const std::string module = Clean(name.substr(0, kMaxNameBytes));
  if (module.empty()) return "";
  return absl::StrCat(
      "Python finds no module `", module,
      "`: install its package under `install:`, or if it is part of the project, run from the directory "
      "that holds it or write `pip install -e .` under `install:`");
}

// "touch: cannot touch '/data/study.db': Read-only file system".
std::string HintAtData(const Failure& failure) {
  for (const absl::string_view line : LastLinesFirst(LastWords(failure.output)))
    if (absl::StrContains(line, "/data/") && absl::StrContains(line, "Read-only file system"))
      return "/data is read-only: write to $OUTPUT_DIR, or to $RISEML_SHARED_DIR, which the children of a set share";
  return "";
}

// "OSError: [Errno 28] No space left on device: '/output/model.pt'".
std::string HintAtFullDisk(const Failure& failure) {
  for (const absl::string_view line : LastLinesFirst(LastWords(failure.output))) {
    if (!absl::StrContains(line, "No space left on device") && !absl::StrContains(line, "Disk quota exceeded"))
      continue;
    if (absl::StrContains(line, "/dev/shm") || absl::StrContains(line, "</torch_"))
      return "Shared memory is full; `mem:` of the job sets its size: ask for more, or use fewer workers";
    return "The disk is full: delete experiments whose output nobody needs (`riseml rm ID`), keep fewer checkpoints, "
           "or "
           "ask an administrator for space";
  }
  return "";
}

// A program that failed because git did: git's error comes before the traceback that names git.
std::string HintAtCalledGit(const Failure& failure) {
  const absl::string_view end = LastWords(failure.output);
  const absl::string_view before = failure.output.substr(0, failure.output.size() - end.size());
  const bool blames_git = absl::StrContains(end, "git");
  return blames_git && absl::StrContains(LastWords(before), kNoRepository) ? std::string(kGitHint) : "";
}

// Words of Python and its installers about an unsuitable version, in lower case.
constexpr absl::string_view kVersionWords[] = {
    "syntaxerror:",
    "requires a different python",
    "requires-python",
    "requires python",
    "does not satisfy python",
    "no matching distribution found",
    "could not find a version that satisfies",
    "not a supported wheel on this platform",
    "no solution found when resolving",
    "not supported between instances of 'type'",
    "unsupported operand type(s) for |: 'type'",
    "'type' object is not subscriptable",
};
// Modules of the standard library that some versions do not have.
constexpr absl::string_view kModulesOfVersions[] = {
    "distutils", "imp",    "asyncore", "asynchat", "smtpd",    "cgi",         "pipes",    "crypt",
    "telnetlib", "imghdr", "audioop",  "tomllib",  "zoneinfo", "dataclasses", "graphlib", "importlib.metadata"};

// "ImportError: cannot import name 'Self' from 'typing' (/usr/lib/python3.9/typing.py)" or "AttributeError: module
// 'collections' has no attribute 'Mapping'": names of the standard library that come and go.
bool MissesStandardName(absl::string_view line) {
  const bool of_package = absl::StrContains(line, "-packages/");
  if (absl::StrContains(line, "cannot import name") && absl::StrContains(line, "/lib/python") && !of_package)
    return true;
  constexpr absl::string_view kModules[] = {"collections", "inspect", "asyncio", "typing", "pkgutil",  "ast",
                                            "time",        "math",    "random",  "types",  "unittest", "configparser"};
  return std::ranges::any_of(kModules, [&](absl::string_view module) {
    return absl::StrContains(line, absl::StrCat("module '", module, "' has no attribute"));
  });
}

// Words of a line up to the first operator, without assignments in front.
std::vector<absl::string_view> WordsOf(absl::string_view line) {
  std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  while (!words.empty() && absl::StrContains(words[0], '=') && !absl::StrContains(words[0], '/'))
    words.erase(words.begin());
  return words;
}

}  // namespace

std::string ScriptOf(absl::string_view line) {
  const std::vector<absl::string_view> words = WordsOf(line);
  if (words.empty()) return "";
  const auto* shell = std::ranges::find(kReaders, words[0]);
  if (shell == std::end(kReaders)) return absl::StrContains(words[0], '/') ? std::string(words[0]) : "";
  for (std::size_t i = 1; i < words.size(); ++i)
    if (!absl::StartsWith(words[i], "-")) return std::string(words[i]);
  return "";
}

ScriptFacts LookAtScript(absl::string_view directory, absl::string_view name) {
  ScriptFacts facts;
  if (name.empty()) return facts;
  const std::string path = name[0] == '/' ? std::string(name) : absl::StrCat(directory, "/", name);
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return facts;
  const absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY | O_NONBLOCK);
  if (!fd.ok()) return facts;
  facts.name = std::string(name);
  facts.executable = (status.st_mode & S_IXUSR) != 0;
  facts.start.resize(kScriptBytes);
  const ssize_t n = read(fd->get(), facts.start.data(), facts.start.size());
  facts.start.resize(n > 0 ? n : 0);
  absl::string_view first = facts.start;
  if (!absl::ConsumePrefix(&first, "#!")) return facts;
  const std::vector<std::string> words =
      absl::StrSplit(first.substr(0, first.find('\n')), absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  facts.interpreter_exists = words.empty() || FileExists(words[0]);
  return facts;
}

bool MayBeForAnotherPython(absl::string_view output) {
  const absl::string_view end = LastWords(output);
  const std::string lower = absl::AsciiStrToLower(end);
  const auto says = [&lower](absl::string_view words) { return absl::StrContains(lower, words); };
  if (std::ranges::any_of(kVersionWords, says)) return true;
  if (std::ranges::any_of(kModulesOfVersions, [&](absl::string_view module) {
        return says(absl::StrCat("no module named '", module, "'"));
      }))
    return true;
  return std::ranges::any_of(LastLinesFirst(end), [](absl::string_view line) {
    const bool no_program = absl::StrContains(line, "python") && absl::EndsWith(line, "not found");
    return no_program || MissesStandardName(line);
  });
}

std::string HintAt(const Failure& failure) {
  if (failure.exit_code == 0) return "";
  if (std::string hint = HintAtInstaller(failure); !hint.empty()) return hint;
  if (failure.exit_code == kBrokenPipe)
    return "A program was killed because the program that read its output through a pipe had already exited: append "
           "`|| true`, or "
           "write `set +o pipefail` before it";
  if (std::string hint = HintAtLineEndings(failure.script); !hint.empty()) return hint;
  const bool not_executed = failure.exit_code == kNotFound || failure.exit_code == kCannotExecute;
  const bool by_itself = !failure.script.name.empty() && absl::StrContains(failure.script.name, '/') &&
                         absl::StartsWith(absl::StripLeadingAsciiWhitespace(failure.line), failure.script.name);
  if (by_itself && (not_executed || failure.exit_code == kSyntax))
    if (std::string hint = HintAtScript(failure.script); !hint.empty()) return hint;
  if (failure.exit_code == kNotFound) return HintAtMissingProgram(failure);
  for (const Complaint& complaint : kComplaints)
    if (absl::StrContains(LastWords(failure.output), complaint.said)) return std::string(complaint.hint);
  if (std::string hint = HintAtFullDisk(failure); !hint.empty()) return hint;
  if (std::string hint = HintAtCalledGit(failure); !hint.empty()) return hint;
  if (std::string hint = HintAtData(failure); !hint.empty()) return hint;
  return HintAtMissingModule(failure);
}

}  // namespace riseml::agent
