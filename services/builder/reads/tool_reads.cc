// Finds the files that package tools read: pip, uv, poetry and their kind, conda.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/builder/reads/known_words.h"
#include "services/builder/reads/read_collector.h"

namespace riseml::builder {
namespace {

// True for a package name with or without a version that cannot contain a path.
bool IsRequirement(const Word& word) {
  return word.text.find_first_of("=<>~!") != std::string::npos && !absl::StrContains(word.text, "/") &&
         !absl::StartsWith(word.text, "-") && !absl::StartsWith(word.text, "~");
}

}  // namespace

// Installs something that a word names.
void ReadCollector::Target(const Words& all, const Word& word, bool editable) {
  absl::string_view text = word.text;
  if (text == "$" && !prints_paths_) return;  // the output of a command whose files were seen
  if (text == "$") return Everything(all, "installs what only the shell knows");
  std::string direct;
  if (const std::size_t at = text.find('@'); at != absl::string_view::npos) {  // NAME @ file:PATH
    direct = std::string(absl::StripLeadingAsciiWhitespace(text.substr(at + 1)));
    RelocateProject(&direct);
    if (absl::StartsWith(direct, "file:") || absl::StartsWith(direct, ".") || absl::StartsWith(direct, "/"))
      text = direct;
  }
  const bool file_url = absl::StartsWith(text, "file:");
  if (file_url) text = text.substr(0, text.find('#'));
  const bool archive =
      std::ranges::any_of(kArchives, [&](absl::string_view suffix) { return absl::EndsWith(text, suffix); });
  const bool local = file_url || archive || editable || absl::StartsWith(text, ".") || absl::StrContains(text, "/");
  if (!file_url && IsUrl(text)) return;
  if (!local && !word.expands) return;
  if (!local && IsRequirement(word)) return;
  Word path = word;
  path.text = std::string(text);
  if (!AddPath(editable ? reads_.projects : reads_.files, path)) Everything(all, "installs what only the shell knows");
}

// `files`: words without an option are requirement files.
void ReadCollector::Pip(const Words& all, const Words& rest, bool files) {
  bool uninstalls = false;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const std::string& text = rest[i].text;
    const std::size_t equals = text.find('=');
    const std::string option = absl::StartsWith(text, "--") ? text.substr(0, equals) : text;
    const bool has_value = absl::StartsWith(text, "--") && equals != std::string::npos;
    Word value = rest[i];
    if (has_value) value.text = text.substr(equals + 1);
    const auto next = [&]() -> bool {
      if (has_value) return true;
      if (i + 1 >= rest.size()) return false;
      value = rest[++i];
      return true;
    };
    uninstalls |= text == "uninstall" || text == "freeze" || text == "list";
    if (Has(kPipValues, option)) {
      if (!has_value) ++i;
    } else if (Has(kRequirementOptions, option)) {
      if (next()) Requirements(all, value);
    } else if (option == "-e" || option == "--editable") {
      if (next()) Target(all, value, true);
    } else if (option == "-f" || option == "--find-links") {
      if (next() && !AddPath(reads_.files, value)) Everything(all, "names a file that only the shell knows");
    } else if (option == "--group" || option == "--all-extras") {
      AddTo(reads_.files, "pyproject.toml");
      if (option == "--group") (void)next();
    } else if (absl::StartsWith(text, "-r") || absl::StartsWith(text, "-c") || absl::StartsWith(text, "-e")) {
      value.text = text.substr(2);
      text[1] == 'e' ? Target(all, value, true) : Requirements(all, value);
    } else if (absl::StartsWith(text, "-")) {
      if (has_value) AddPath(reads_.files, value);
    } else if (files && !absl::StartsWith(text, "$")) {
      Requirements(all, rest[i]);
    } else if (!uninstalls) {
      Target(all, rest[i], false);
    }
  }
}

void ReadCollector::Requirements(const Words& all, const Word& word) {
  if (absl::StartsWith(word.text, "/")) reads_.outside.insert(word.text);
  if (!AddPath(reads_.requirements, word)) Everything(all, "names a file that only the shell knows");
}

void ReadCollector::PipTools(const Words& all, const Words& rest) {
  Pip(all, rest, true);
  for (const char* name : {"requirements.txt", "requirements.in"}) AddTo(reads_.requirements, name);
  AddTo(reads_.projects, ".");
}

void ReadCollector::Uv(const Words& all, const Words& rest, int depth) {
  std::size_t i = 0;
  while (i < rest.size() && absl::StartsWith(rest[i].text, "-")) {
    if (rest[i].text == "--project" || rest[i].text == "--directory")
      if (i + 1 < rest.size()) ChangeDirectory(all, {rest[++i]});
    ++i;
  }
  for (const char* name : {"uv.toml", "pyproject.toml", ".python-version"}) AddTo(reads_.files, name);
  if (i >= rest.size()) return;
  const std::string& verb = rest[i].text;
  const Words behind(rest.begin() + static_cast<std::ptrdiff_t>(i) + 1, rest.end());
  if (verb == "pip") {
    const bool files = !behind.empty() && (behind[0].text == "sync" || behind[0].text == "compile");
    return Pip(all, files ? Words(behind.begin() + 1, behind.end()) : behind, files);
  }
  if (verb == "venv" || verb == "python" || verb == "cache" || verb == "self" || verb == "version") return;
  if (verb == "tool") return Pip(all, behind, false);
  if (verb == "build") return Everything(all, "reads the whole project");
  Project(all, Words(rest.begin() + static_cast<std::ptrdiff_t>(i), rest.end()), {"uv.lock"}, depth);
}

// Handles a tool that reads the project's own files by itself: VERB WORDS…
void ReadCollector::Project(const Words& all, const Words& rest, std::vector<std::string> files, int depth) {
  for (const std::string& file : files) AddTo(reads_.requirements, file);
  AddTo(reads_.projects, ".");
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const std::string& text = rest[i].text;
    if (text == "--no-editable" || text == "build") return Everything(all, "reads the whole project");
    if ((text == "-C" || text == "--directory" || text == "--project" || text == "-P" || text == "-p") &&
        i + 1 < rest.size()) {
      ChangeDirectory(all, {rest[i + 1]});
      for (const std::string& file : files) AddTo(reads_.requirements, file);
      AddTo(reads_.projects, ".");
    }
    if (text == "run" || text == "exec") {
      Words command(rest.begin() + static_cast<std::ptrdiff_t>(i) + 1, rest.end());
      while (!command.empty() && absl::StartsWith(command[0].text, "-")) {
        const bool takes =
            Has(std::vector<absl::string_view>{"--with", "--extra", "--group", "-p", "--python"}, command[0].text);
        command.erase(command.begin(), command.begin() + (takes && command.size() > 1 ? 2 : 1));
      }
      return AddCommand({.words = command, .here_document = ""}, depth + 1);
    }
  }
  Pip(all, rest, false);
}

void ReadCollector::Conda(const Words& all, const Words& rest, int depth) {
  for (const char* name : {"environment.yml", "environment.yaml"}) AddTo(reads_.requirements, name);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    absl::string_view text = rest[i].text;
    if (text == "run") {
      Words command(rest.begin() + static_cast<std::ptrdiff_t>(i) + 1, rest.end());
      while (command.size() > 1 && absl::StartsWith(command[0].text, "-"))
        command.erase(command.begin(), command.begin() + (command[0].text == "-n" || command[0].text == "-p" ? 2 : 1));
      return AddCommand({.words = command, .here_document = ""}, depth + 1);
    }
    if (absl::ConsumePrefix(&text, "--file=")) {
      Word value = rest[i];
      value.text = std::string(text);
      Requirements(all, value);
    } else if ((text == "-f" || text == "--file") && i + 1 < rest.size()) {
      Requirements(all, rest[++i]);
    }
  }
}

}  // namespace riseml::builder
