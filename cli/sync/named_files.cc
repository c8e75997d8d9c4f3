#include "cli/sync/named_files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace riseml::sync {
namespace {

// Commands that do not read the files they name: they write, remove, print or test them.
constexpr absl::string_view kNotReaders[] = {"tee",  "touch", "rm", "mkdir", "rmdir",  "echo",   "printf",
                                             "test", "[",     "[[", "ls",    "export", "unlink", "trap"};
// Options that name an output, recognised by a part of their name.
constexpr absl::string_view kWritten[] = {"out", "log", "save", "dest", "export", "write", "result", "dump", "report"};

struct CommandWord {
  std::string text;
  bool starts = false;   // first of its command
  bool written = false;  // behind > or >>
  bool opaque = false;   // holds something that only the shell can expand
  int depth = 0;         // subshells around it
};

// Words as a shell splits them; quotes are removed, nothing is expanded.
class WordSplitter {
 public:
  std::vector<CommandWord> Split(absl::string_view command) {
    char quote = '\0';
    for (std::size_t i = 0; i < command.size(); ++i) {
      const char c = command[i];
      if (quote != '\0') {
        if (c == quote) {
          quote = '\0';
        } else {
          Add(c, quote == '\'');
        }
      } else if (c == '\'' || c == '"') {
        quote = c;
        in_word_ = true;
      } else if (c == '\\' && i + 1 < command.size()) {
        if (command[++i] != '\n') Add(command[i], true);
      } else if (c == '#' && !in_word_) {
        while (i + 1 < command.size() && command[i + 1] != '\n') ++i;
      } else if (absl::StrContains(";&|()\n", absl::string_view(&c, 1))) {
        Finish();
        next_starts_ = true;
        if (c == '(') ++depth_;
        if (c == ')' && depth_ > 0) --depth_;
      } else if (c == '>' || c == '<') {
        if (std::all_of(word_.text.begin(), word_.text.end(), [](char d) { return absl::ascii_isdigit(d); }))
          word_ = {};
        in_word_ = in_word_ && !word_.text.empty();
        Finish();
        next_written_ = c == '>';
      } else if (absl::ascii_isspace(static_cast<unsigned char>(c))) {
        Finish();
      } else {
        Add(c, false);
      }
    }
    Finish();
    return std::move(words_);
  }

 private:
  void Add(char c, bool literal) {
    in_word_ = true;
    word_.text += c;
    if (!literal && absl::StrContains("$`*?[{}", absl::string_view(&c, 1))) word_.opaque = true;
    if (c == '\n' || c == '{') word_.opaque = true;
  }
  void Finish() {
    if (in_word_) {
      word_.starts = std::exchange(next_starts_, false);
      word_.written = std::exchange(next_written_, false);
      word_.depth = depth_;
      words_.push_back(std::move(word_));
    }
    word_ = {};
    in_word_ = false;
  }

  std::vector<CommandWord> words_;
  CommandWord word_;
  bool in_word_ = false;
  bool next_starts_ = true;
  bool next_written_ = false;
  int depth_ = 0;
};

bool IsWrittenOption(absl::string_view option) {
  if (option == "-o" || option == "-O") return true;
  const std::string lower = absl::AsciiStrToLower(option);
  return absl::StartsWith(lower, "-") &&
         std::any_of(std::begin(kWritten), std::end(kWritten),
                     [&](absl::string_view part) { return absl::StrContains(lower, part); });
}

// "./a//b" as "a/b", seen from `directory`; empty when the path is absolute, leaves the project or is the project.
std::string PathInside(absl::string_view directory, absl::string_view path) {
  if (path.empty() || absl::StartsWith(path, "/") || absl::StartsWith(path, "~") || absl::StrContains(path, "://"))
    return "";
  std::vector<absl::string_view> parts = absl::StrSplit(directory, '/', absl::SkipEmpty());
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == ".." && parts.empty()) return "";
    if (part == "..") {
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  return absl::StrJoin(parts, "/");
}

void AddPathOnce(std::string path, std::vector<std::string>& out) {
  if (!path.empty() && std::find(out.begin(), out.end(), path) == out.end()) out.push_back(std::move(path));
}

// "-rFILE", "--config=FILE", "key=FILE", "@FILE" and the word itself.
std::vector<absl::string_view> PathsOfWord(absl::string_view word) {
  std::vector<absl::string_view> out;
  if (const std::size_t equals = word.find('='); equals != absl::string_view::npos) {
    if (!IsWrittenOption(absl::StartsWith(word, "-") ? word.substr(0, equals) : ""))
      out.push_back(word.substr(equals + 1));
  } else if (absl::StartsWith(word, "-r") || absl::StartsWith(word, "-c") || absl::StartsWith(word, "-e")) {
    out.push_back(word.substr(2));
  } else if (absl::StartsWith(word, "@")) {
    out.push_back(word.substr(1));
  }
  if (!absl::StartsWith(word, "-")) out.push_back(word);
  return out;
}

absl::string_view Program(absl::string_view word) {
  const std::size_t slash = word.rfind('/');
  return slash == absl::string_view::npos ? word : word.substr(slash + 1);
}

// Goes through the words and keeps the state that earlier ones leave for later ones.
class CommandReader {
 public:
  std::vector<std::string> Read(absl::string_view command) {
    for (const CommandWord& word : WordSplitter().Split(command)) Next(word);
    return std::move(paths_);
  }

 private:
  void Next(const CommandWord& word) {
    directories_.resize(word.depth + 1, directories_.back());
    if (word.starts) {
      reads_ = std::find(std::begin(kNotReaders), std::end(kNotReaders), word.text) == std::end(kNotReaders);
      changes_directory_ = word.text == "cd" || word.text == "pushd";
      python_ = false;
      previous_.clear();
    } else if (changes_directory_) {
      ChangeDirectory(word);
      return;
    }
    if (reads_ && known_ && !word.written && !word.opaque && !IsWrittenOption(previous_)) Add(word.text);
    python_ = python_ || absl::StartsWith(Program(word.text), "python") || Program(word.text) == "torchrun";
    previous_ = word.text;
  }

  // Once the directory is known only to the shell, no relative name is known either.
  void ChangeDirectory(const CommandWord& word) {
    const bool home = absl::StartsWith(word.text, "/") || absl::StartsWith(word.text, "~") || word.text == "-";
    known_ = known_ && !word.opaque && !home;
    directories_.back() = PathInside(directories_.back(), word.text);
    if (known_) AddPathOnce(directories_.back(), paths_);
  }

  void Add(absl::string_view word) {
    const std::string& directory = directories_.back();
    if (python_ && previous_ == "-m") {
      const std::string module = absl::StrReplaceAll(word, {{".", "/"}});
      AddPathOnce(PathInside(directory, absl::StrCat(module, ".py")), paths_);
      AddPathOnce(PathInside(directory, absl::StrCat(module, "/__main__.py")), paths_);
    } else if (previous_ != "-c") {
      for (const absl::string_view path : PathsOfWord(word)) AddPathOnce(PathInside(directory, path), paths_);
    }
  }

  std::vector<std::string> paths_;
  std::vector<std::string> directories_ = {""};  // of the shell and of each subshell, relative to the project
  std::string previous_;
  bool reads_ = true;
  bool changes_directory_ = false;
  bool python_ = false;
  bool known_ = true;
};

}  // namespace

std::vector<std::string> NamedFiles(absl::string_view command) { return CommandReader().Read(command); }

}  // namespace riseml::sync
