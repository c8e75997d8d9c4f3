#include "services/builder/reads/step_reads.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/builder/reads/known_words.h"
#include "services/builder/reads/read_collector.h"
#include "services/builder/reads/shell_words.h"
#include "services/builder/reads/system_tools.h"

namespace riseml::builder {
namespace {

bool IsPython(absl::string_view program) {
  if (!absl::ConsumePrefix(&program, "python") && !absl::ConsumePrefix(&program, "pypy")) return false;
  return std::ranges::all_of(program, [](unsigned char c) { return absl::ascii_isdigit(c) || c == '.'; });
}

bool IsPip(absl::string_view program) {
  if (!absl::ConsumePrefix(&program, "pip")) return false;
  return std::ranges::all_of(program, [](unsigned char c) { return absl::ascii_isdigit(c) || c == '.'; });
}

}  // namespace

void ReadCollector::AddStep(absl::string_view step, int depth) {
  const std::vector<ShellCommand> commands = SplitCommands(step);
  for (const ShellCommand& command : commands)
    prints_paths_ |= !command.words.empty() && Has(kPathPrinters, BaseName(command.words[0].text));
  for (const ShellCommand& command : commands) AddCommand(command, depth);
}

void ReadCollector::Everything(const Words& words, absl::string_view why) {
  if (!reads_.everything_because.empty()) return;
  std::vector<std::string> texts;
  for (const Word& word : words) texts.push_back(word.text);
  reads_.everything_because = absl::StrCat("`", absl::StrJoin(texts, " "), "` ", why);
}

void ReadCollector::AddTo(std::set<std::string>& set, absl::string_view path) {
  std::string located;
  for (const std::string& directory : directories_)
    if (Locate(directory, path, &located)) set.insert(located);
}

// Adds a word that may be a path. Returns false if only the shell knows its value.
bool ReadCollector::AddPath(std::set<std::string>& set, const Word& word) {
  absl::string_view text = word.text;
  absl::ConsumePrefix(&text, "file:");
  absl::ConsumePrefix(&text, "//");
  if (IsUrl(text) || absl::StartsWith(text, "/") || absl::StartsWith(text, "~") || absl::StartsWith(text, "$HOME") ||
      absl::StartsWith(text, "$VIRTUAL_ENV") || absl::StartsWith(text, "$TMPDIR"))
    return true;
  if (word.expands) return false;
  if (word.globs) {
    const std::size_t glob = text.find_first_of("*?[");
    const std::size_t slash = text.substr(0, glob).rfind('/');
    if (glob != absl::string_view::npos && slash == absl::string_view::npos && text[glob] != '[') return false;
    if (glob != absl::string_view::npos && slash != absl::string_view::npos) AddTo(set, text.substr(0, slash));
    if (glob != absl::string_view::npos && text[glob] != '[') return true;
  }
  if (absl::EndsWith(text, "]")) text = text.substr(0, text.rfind('['));
  if (!text.empty()) AddTo(set, text);
  return true;
}

void ReadCollector::AddCommand(const ShellCommand& command, int depth) {
  Words words = command.words;
  const Words all = words;
  for (const Word& word : all) Variable(all, word);
  bool skipped = true;
  while (skipped && !words.empty()) {
    skipped = IsAssignment(words[0].text) || Has(kPrefixes, BaseName(words[0].text)) ||
              (words.size() < all.size() && absl::StartsWith(words[0].text, "-"));
    const bool timeout = BaseName(words[0].text) == "timeout" && words.size() > 1;
    if (timeout) words.erase(words.begin(), words.begin() + 2);
    if (skipped) words.erase(words.begin());
    skipped |= timeout;
  }
  if (words.empty() || depth > 8) return;
  const std::string program(BaseName(words[0].text));
  const bool own = absl::StrContains(words[0].text, "/") && !absl::StartsWith(words[0].text, "/") &&
                   !absl::StartsWith(words[0].text, "~") && !absl::StartsWith(words[0].text, "$");
  Words rest(words.begin() + 1, words.end());
  if (program == "cd" || program == "pushd") return ChangeDirectory(all, rest);
  if (program == "source" || program == ".") return Source(all, rest);
  if (Has(kShells, program)) return Shell(all, rest, command.here_document, depth);
  if (IsPython(program)) return Python(all, rest, command.here_document, depth);
  Inputs(all, rest);
  std::erase_if(rest, [](const Word& word) { return word.is_input; });
  if (own && program != "activate" && !IsPip(program)) return Everything(all, "is a program of the project");
  if (words[0].expands && program == words[0].text) return;  // $(…): its commands were seen
  if (IsPip(program)) return Pip(all, rest, false);
  if (program == "uv") return Uv(all, rest, depth);
  if (program == "poetry") return Project(all, rest, {"poetry.lock", "poetry.toml"}, depth);
  if (program == "pdm") return Project(all, rest, {"pdm.lock", "pdm.toml", ".pdm.toml"}, depth);
  if (program == "pipenv") return Project(all, rest, {"Pipfile", "Pipfile.lock"}, depth);
  if (program == "pip-sync" || program == "pip-compile") return PipTools(all, rest);
  if (!CondaTool(program).empty()) return Conda(all, rest, depth);
  if (program == "pipx") return Pip(all, rest, false);
  if (Has(kReadNothing, program) || !SystemPackageTool(program).empty()) return;
  if (Has(kReadWords, program)) return Named(all, rest);
  Everything(all, "may read any file");
}

// Handles NAME=value, anywhere in a command, for variables that name a file for pip or uv.
void ReadCollector::Variable(const Words& all, const Word& word) {
  const std::size_t equals = word.text.find('=');
  if (!IsAssignment(word.text) || !Has(kFileVariables, word.text.substr(0, equals))) return;
  for (const absl::string_view path : absl::StrSplit(word.text.substr(equals + 1), ' ', absl::SkipEmpty())) {
    Word value = word;
    value.text = std::string(path);
    Requirements(all, value);
  }
}

void ReadCollector::ChangeDirectory(const Words& all, const Words& rest) {
  if (rest.empty() || rest[0].text == "-" || absl::StartsWith(rest[0].text, "~")) return;
  if (rest[0].expands) return Everything(all, "goes to a directory that only the shell knows");
  std::set<std::string> added;
  std::string located;
  for (const std::string& directory : directories_)
    if (!absl::StartsWith(rest[0].text, "/") && Locate(directory, rest[0].text, &located)) added.insert(located);
  directories_.insert(added.begin(), added.end());
}

void ReadCollector::Source(const Words& all, const Words& rest) {
  if (rest.empty() || absl::EndsWith(rest[0].text, "/activate")) return;
  const absl::string_view text = rest[0].text;
  if (absl::StartsWith(text, "/") || absl::StartsWith(text, "~") || absl::StartsWith(text, "$HOME")) return;
  Everything(all, "may read any file");
}

void ReadCollector::Shell(const Words& all, const Words& rest, const std::string& document, int depth) {
  AddStep(document, depth + 1);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const absl::string_view text = rest[i].text;
    if (rest[i].is_input) return Everything(all, "may read any file");
    if (absl::StartsWith(text, "-") || absl::StartsWith(text, "+")) {
      if (!absl::StartsWith(text, "--") && absl::StrContains(text, "c")) {
        if (i + 1 < rest.size()) AddStep(rest[i + 1].text, depth + 1);
        return;
      }
      if (text == "-s") return;
      if (absl::StrContains(text, "o") && !absl::StartsWith(text, "--")) ++i;  // -o pipefail
      continue;
    }
    if (absl::StartsWith(text, "/") || absl::StartsWith(text, "~")) return Named(all, rest);
    return Everything(all, "may read any file");
  }
}

void ReadCollector::Code(const std::string& code) {
  std::vector<std::string> words = absl::StrSplit(code, absl::ByAnyChar(" \t\n;,()[]{}:="), absl::SkipEmpty());
  bool import = false;
  for (const std::string& word : words) {
    if (import) reads_.modules.insert(word.substr(0, word.find('.')));
    import = word == "import" || word == "from" || (import && word == "as");
  }
  for (std::size_t i = 0; i + 1 < words.size(); ++i)  // import a, b
    if (words[i] == "import")
      for (std::size_t j = i + 1; j < std::min(words.size(), i + 10); ++j)
        reads_.modules.insert(words[j].substr(0, words[j].find('.')));
  for (const absl::string_view literal : absl::StrSplit(code, absl::ByAnyChar("'\"")))
    if (!literal.empty() && literal.size() < 300 && !absl::StrContains(literal, "\n"))
      AddPath(reads_.files, {.text = std::string(literal)});
}

void ReadCollector::Python(const Words& all, const Words& rest, const std::string& document, int depth) {
  Code(document);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const std::string& text = rest[i].text;
    const Words behind(rest.begin() + static_cast<std::ptrdiff_t>(std::min(i + 2, rest.size())), rest.end());
    if (rest[i].is_input) return Everything(all, "may read any file");
    if (text == "-c" && i + 1 < rest.size()) {
      if (rest[i + 1].expands) return Everything(all, "may read any file");
      Code(rest[i + 1].text);
      return Named(all, behind);
    }
    if (text == "-m" && i + 1 < rest.size()) return Module(all, rest[i + 1].text, behind, depth);
    if (text == "-W" || text == "-X") {
      ++i;
      continue;
    }
    if (text == "-") return Named(all, behind);
    if (absl::StartsWith(text, "-")) continue;
    if (BaseName(text) == "setup.py") return Setup(all, text, rest);
    if (absl::StartsWith(text, "/") || absl::StartsWith(text, "~")) return Named(all, rest);
    return Everything(all, "may read any file");
  }
}

void ReadCollector::Module(const Words& all, const std::string& module, const Words& rest, int depth) {
  if (module == "pip") return Pip(all, rest, false);
  if (module == "uv") return Uv(all, rest, depth);
  if (module == "poetry" || module == "pdm" || module == "pipenv") {
    Words words = {{.text = module}};
    words.insert(words.end(), rest.begin(), rest.end());
    return AddCommand({.words = words, .here_document = ""}, depth + 1);
  }
  if (module == "build" || module == "compileall") return Everything(all, "reads the whole project");
  reads_.modules.insert(module.substr(0, module.find('.')));
  Named(all, rest);
}

void ReadCollector::Setup(const Words& all, const std::string& path, const Words& rest) {
  const bool develop = std::ranges::any_of(rest, [](const Word& word) { return word.text == "develop"; });
  const absl::string_view directory = absl::string_view(path).substr(0, path.size() - BaseName(path).size());
  if (develop) return AddTo(reads_.projects, directory.empty() ? "." : directory);
  if (directory.empty() || directory == "./") return Everything(all, "reads the whole project");
  AddTo(reads_.files, directory);
}

// Adds the files that are read from standard input.
void ReadCollector::Inputs(const Words& all, const Words& rest) {
  for (const Word& word : rest)
    if (word.is_input && !AddPath(reads_.requirements, word)) Everything(all, "reads a file that only the shell knows");
}

void ReadCollector::Named(const Words& all, const Words& rest) {
  for (const Word& word : rest) {
    Word value = word;
    if (absl::StartsWith(word.text, "-")) {
      const std::size_t equals = word.text.find('=');
      if (equals == std::string::npos) continue;
      value.text = word.text.substr(equals + 1);
    }
    if (!AddPath(reads_.requirements, value)) Everything(all, "reads files that only the shell knows");
  }
}

StepReads ReadsOf(const std::vector<std::string>& install_steps) {
  ReadCollector collector;
  for (const std::string& step : install_steps) collector.AddStep(step);
  return collector.Take();
}

}  // namespace riseml::builder
