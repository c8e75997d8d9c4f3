#include "services/builder/environment/explain.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/builder/environment/sha256.h"

namespace riseml::builder {
namespace {

using internal::v1::CacheExplanation;
using internal::v1::DecidingInput;
using internal::v1::KnownEnvironment;

constexpr std::size_t kMostLines = 20;  // of steps and of files
constexpr std::size_t kMostColumns = 160;
constexpr std::size_t kMostChanges = 3;  // named by a reason
constexpr std::size_t kMostNameBytes = 60;
constexpr std::size_t kShortKey = 8;

std::string ShortName(absl::string_view name) {
  if (name.size() <= kMostNameBytes) return std::string(name);
  std::size_t end = kMostNameBytes;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(name.substr(0, end), "...");
}

enum class Change { kChanged, kNew, kGone };

// Describes the change of an input of a kind that exists once.
std::string OfOne(const DecidingInput& input, Change change) {
  switch (input.kind()) {
    case DecidingInput::LAYOUT:
      return "the way or the place in which environments are made has changed";
    case DecidingInput::PYTHON:
      return change == Change::kNew ? absl::StrCat("Python is now ", input.name()) : "";
    case DecidingInput::IMAGE:
      if (change == Change::kChanged) return absl::StrCat("the base image ", input.name(), " has changed");
      return change == Change::kNew ? absl::StrCat("the base image is now ", input.name()) : "";
    case DecidingInput::CLIENT:
      return change == Change::kGone ? "" : "the package riseml has changed";
    case DecidingInput::TREE:
      return change == Change::kChanged ? "files of the project have changed" : "";
    case DecidingInput::FRAMEWORK:
      return change == Change::kGone ? "" : absl::StrCat("the framework is now ", input.name());
    default:
      return "";
  }
}

std::string Describe(const DecidingInput& input, Change change) {
  const bool is_step = input.kind() == DecidingInput::STEP;
  if (!is_step && input.kind() != DecidingInput::FILE) return OfOne(input, change);
  const std::string name = is_step ? absl::StrCat("the step `", ShortName(input.name()), "`") : ShortName(input.name());
  constexpr absl::string_view kWords[] = {" has changed", " is new", " is gone"};
  return absl::StrCat(name, kWords[static_cast<std::size_t>(change)]);
}

using Named = std::multimap<std::pair<int, std::string>, const DecidingInput*>;

template <class List>
Named ByName(const List& inputs) {
  Named named;
  for (const DecidingInput& input : inputs) named.emplace(std::pair(input.kind(), input.name()), &input);
  return named;
}

// True if all files of the project count and single files are unknown.
template <class List>
bool CountsAllFiles(const List& inputs) {
  return std::ranges::any_of(inputs, [](const DecidingInput& input) { return input.kind() == DecidingInput::TREE; });
}

// Returns the differences, steps before files.
std::vector<std::string> ChangesSince(const KnownEnvironment& before, const std::vector<DecidingInput>& now) {
  Named old = ByName(before.inputs());
  Named fresh = ByName(now);
  const bool other_files = CountsAllFiles(before.inputs()) != CountsAllFiles(now);
  if (other_files) {  // files named on one side only are neither new nor gone
    for (Named* named : {&old, &fresh})
      std::erase_if(*named, [](const auto& entry) {
        return entry.second->kind() == DecidingInput::FILE || entry.second->kind() == DecidingInput::TREE;
      });
  }
  for (auto it = fresh.begin(); it != fresh.end();) {
    const auto [first, end] = old.equal_range(it->first);
    const auto same =
        std::find_if(first, end, [&it](const auto& entry) { return entry.second->id() == it->second->id(); });
    if (same == end) {
      ++it;
      continue;
    }
    old.erase(same);
    it = fresh.erase(it);
  }
  std::vector<std::pair<int, std::string>> changes;
  for (const auto& [name, input] : fresh) {
    const auto changed = old.find(name);
    changes.emplace_back(name.first, Describe(*input, changed == old.end() ? Change::kNew : Change::kChanged));
    if (changed != old.end()) old.erase(changed);
  }
  for (const auto& [name, input] : old) changes.emplace_back(name.first, Describe(*input, Change::kGone));
  if (other_files)
    changes.emplace_back(DecidingInput::TREE, CountsAllFiles(now) ? "all files of the project count now"
                                                                  : "only files that steps read count now");
  std::ranges::stable_sort(changes, {}, &std::pair<int, std::string>::first);
  std::vector<std::string> texts;
  for (auto& [kind, text] : changes)
    if (!text.empty()) texts.push_back(std::move(text));
  return texts;
}

// True if both have the same inputs in another order, such as reordered steps.
bool IsReordered(const KnownEnvironment& before, const std::vector<DecidingInput>& now) {
  return !std::ranges::equal(before.inputs(), now,
                             [](const auto& a, const auto& b) { return a.kind() == b.kind() && a.id() == b.id(); });
}

std::string Joined(std::vector<std::string> texts) {
  if (texts.size() > kMostChanges) {
    texts.resize(kMostChanges - 1);
    texts.push_back("more has changed");
  }
  const std::string last = texts.back();
  texts.pop_back();
  return texts.empty() ? last : absl::StrCat(absl::StrJoin(texts, ", "), " and ", last);
}

std::string Since(const UsedBefore& used) {
  const std::string& job = used.environment.built_by();
  return job.empty() ? absl::StrCat(" since environment ", used.key.substr(0, kShortKey), " was built")
                     : absl::StrCat(" since ", job);
}

CacheExplanation Because(CacheExplanation::Decision decision, std::string reason) {
  CacheExplanation explanation;
  explanation.set_decision(decision);
  explanation.set_reason(std::move(reason));
  return explanation;
}

CacheExplanation Vanished(const UsedBefore& used) {
  const std::string& job = used.environment.built_by();
  return Because(CacheExplanation::VANISHED,
                 absl::StrCat("the one that ", job.empty() ? "was built before" : absl::StrCat(job, " built"),
                              " has been removed"));
}

}  // namespace

std::string ShortHash(absl::string_view text) { return Sha256Hex(text).substr(0, 16); }

DecidingInput Deciding(DecidingInput::Kind kind, absl::string_view name, absl::string_view id) {
  DecidingInput input;
  input.set_kind(kind);
  input.set_name(ForLine(name));
  input.set_id(std::string(id));
  return input;
}

std::string ForLine(absl::string_view text) {
  std::string out;
  for (const char c : text) out += absl::ascii_iscntrl(static_cast<unsigned char>(c)) ? ' ' : c;
  std::size_t at = 0;
  while ((at = out.find("://", at)) != std::string::npos) {
    at += 3;
    const std::size_t end = std::min(out.find_first_of("/ '\"", at), out.size());
    const std::size_t sign = out.rfind('@', end);
    if (sign == std::string::npos || sign < at) continue;
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(at), out.begin() + static_cast<std::ptrdiff_t>(sign), '*');
  }
  if (out.size() <= kMostColumns) return out;
  std::size_t end = kMostColumns;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(out.substr(0, end), "...");
}

void AddDecidingSteps(const std::vector<std::string>& install, std::vector<DecidingInput>& out) {
  for (const std::string& step : install) out.push_back(Deciding(DecidingInput::STEP, step, ShortHash(step)));
}

void AddDecidingCode(const CodeInputs& code, std::vector<DecidingInput>& out) {
  for (const auto& [path, id] : code.ids) out.push_back(Deciding(DecidingInput::FILE, path, id));
  if (!code.tree.empty()) out.push_back(Deciding(DecidingInput::TREE, "", ShortHash(code.tree)));
}

std::vector<DecidingInput> DecidingInputsOf(const Inputs& inputs) {
  std::vector<DecidingInput> out;
  out.push_back(
      Deciding(DecidingInput::LAYOUT, "layout", ShortHash(absl::StrCat(kEnvironmentFormat, " ", inputs.place))));
  const std::string python = absl::StrCat(inputs.python_version, " (", inputs.python, ")");
  out.push_back(Deciding(DecidingInput::PYTHON, python, ShortHash(python)));
  AddDecidingSteps(inputs.install, out);
  if (!inputs.framework.empty()) {
    const std::string framework = inputs.framework_version.empty()
                                      ? inputs.framework
                                      : absl::StrCat(inputs.framework, " ", inputs.framework_version);
    out.push_back(Deciding(DecidingInput::FRAMEWORK, framework, framework));
  }
  AddDecidingCode(inputs.code, out);
  if (!inputs.client_digest.empty())
    out.push_back(Deciding(DecidingInput::CLIENT, "riseml", inputs.client_digest.substr(0, 16)));
  return out;
}

CacheExplanation ExplainBuild(const std::vector<DecidingInput>& now, bool rebuild,
                              const std::optional<UsedBefore>& same, const std::optional<UsedBefore>& last) {
  if (same) return Vanished(*same);
  if (rebuild) return Because(CacheExplanation::REBUILD_REQUESTED, "a new one was asked for");
  if (!last) return Because(CacheExplanation::BUILT_FIRST_TIME, "no environment of this project is known");
  std::vector<std::string> changes = ChangesSince(last->environment, now);
  if (changes.empty() && IsReordered(last->environment, now)) changes = {"the order of the steps has changed"};
  // Equal inputs make an equal environment, so it must have existed.
  if (changes.empty()) return Vanished(*last);
  return Because(CacheExplanation::CHANGED, absl::StrCat(Joined(std::move(changes)), Since(*last)));
}

std::vector<std::string> DecisionLines(const DecisionText& text) {
  std::vector<std::string> lines = {absl::StrCat("Environment ", text.key.substr(0, kShortKey), " is decided by:")};
  for (const std::string& line : text.first) lines.push_back(absl::StrCat("  ", line));
  for (std::size_t i = 0; i < text.install.size() && i < kMostLines; ++i)
    lines.push_back(absl::StrCat("  step: ", ForLine(text.install[i])));
  if (text.install.size() > kMostLines)
    lines.push_back(absl::StrCat("  and ", text.install.size() - kMostLines, " more steps"));
  std::size_t files = 0;
  for (const auto& [name, id] : text.code.ids)
    if (files++ < kMostLines)
      lines.push_back(absl::StrCat("  file: ", ForLine(name), " ", id.empty() ? "exists" : id.substr(0, kShortKey)));
  if (files > kMostLines) lines.push_back(absl::StrCat("  and ", files - kMostLines, " more files"));
  if (!text.code.everything_because.empty())
    lines.push_back(absl::StrCat("  all files of the project but riseml.yml, as ",
                                 ForLine(text.code.everything_because), ": any edit builds a new environment"));
  if (text.code.ids.empty() && text.code.everything_because.empty()) lines.push_back("  no files of the project");
  for (const std::string& path : text.code.outside)
    lines.push_back(absl::StrCat("  NOTE: ", ForLine(path),
                                 " lies outside of the project: after it has changed, train with --rebuild"));
  if (!text.built_because.empty()) lines.push_back(absl::StrCat("It is built, as ", text.built_because));
  return lines;
}

std::vector<std::string> DecisionLines(const Inputs& inputs, absl::string_view key) {
  std::vector<std::string> first = {absl::StrCat("Python: ", inputs.python_version, " (", inputs.python, ")")};
  if (!inputs.python_note.empty()) first.push_back(absl::StrCat("NOTE: ", inputs.python_note));
  if (!inputs.framework.empty())
    first.push_back(absl::StrCat("framework: ", inputs.framework, " ", inputs.framework_version));
  return DecisionLines({key, std::move(first), inputs.install, inputs.code, inputs.built_because});
}

}  // namespace riseml::builder
