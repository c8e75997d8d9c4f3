// Collects the files that commands read, for step_reads.h. step_reads.cc knows the shell and Python, tool_reads.cc the
// tools that install packages.
#pragma once

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "services/builder/reads/shell_words.h"
#include "services/builder/reads/step_reads.h"

namespace riseml::builder {

class ReadCollector {
 public:
  void AddStep(absl::string_view step, int depth = 0);
  StepReads Take() { return std::move(reads_); }

 private:
  using Words = std::vector<Word>;

  void Everything(const Words& words, absl::string_view why);
  void AddTo(std::set<std::string>& set, absl::string_view path);
  bool AddPath(std::set<std::string>& set, const Word& word);
  void AddCommand(const ShellCommand& command, int depth);
  void Variable(const Words& all, const Word& word);
  void ChangeDirectory(const Words& all, const Words& rest);
  void Source(const Words& all, const Words& rest);
  void Shell(const Words& all, const Words& rest, const std::string& document, int depth);
  void Code(const std::string& code);
  void Python(const Words& all, const Words& rest, const std::string& document, int depth);
  void Module(const Words& all, const std::string& module, const Words& rest, int depth);
  void Setup(const Words& all, const std::string& path, const Words& rest);
  void Target(const Words& all, const Word& word, bool editable);
  void Pip(const Words& all, const Words& rest, bool files);
  void Requirements(const Words& all, const Word& word);
  void PipTools(const Words& all, const Words& rest);
  void Uv(const Words& all, const Words& rest, int depth);
  void Project(const Words& all, const Words& rest, std::vector<std::string> files, int depth);
  void Conda(const Words& all, const Words& rest, int depth);
  void Inputs(const Words& all, const Words& rest);
  void Named(const Words& all, const Words& rest);

  bool prints_paths_ = false;  // a command prints the path of the project or of something in it
  StepReads reads_;
  std::set<std::string> directories_ = {""};  // where a command may be run
};

// True for a name in one of the lists of known_words.h.
template <class Range>
bool Has(const Range& names, absl::string_view name) {
  return std::ranges::find(names, name) != std::end(names);
}

inline bool IsUrl(absl::string_view text) { return absl::StrContains(text, "://"); }

}  // namespace riseml::builder
