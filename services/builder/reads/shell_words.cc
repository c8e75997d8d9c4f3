#include "services/builder/reads/shell_words.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace riseml::builder {
namespace {

constexpr char kCode[] = "/code";
constexpr int kMaxNesting = 8;

bool IsNameCharacter(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Walks over a text once.
class Splitter {
 public:
  Splitter(absl::string_view text, int depth) : text_(text), depth_(depth) {}

  std::vector<ShellCommand> Split() {
    while (at_ < text_.size()) Step();
    EndCommand();
    return std::move(commands_);
  }

 private:
  char Now() const { return text_[at_]; }
  char Next() const { return at_ + 1 < text_.size() ? text_[at_ + 1] : '\0'; }

  void Step() {
    const char c = Now();
    if (c == '\'') return SingleQuotes();
    if (c == '"') return DoubleQuotes();
    if (c == '\\') return Escape();
    if (c == '$' || c == '`') return Expand();
    if (c == '#' && !in_word_) return SkipLine();
    if (c == '<' || c == '>') return Redirect();
    if (c == '\n') {
      ++at_;
      EndCommand();
      return ReadHereDocument();
    }
    if (absl::StrContains(";&|()", absl::string_view(&c, 1))) {
      ++at_;
      return EndCommand();
    }
    ++at_;
    if (absl::ascii_isspace(static_cast<unsigned char>(c))) return EndWord();
    if (c == '*' || c == '?' || c == '[') word_.globs = true;
    Add(c);
  }

  void Add(char c) {
    word_.text += c;
    in_word_ = true;
  }
  void EndWord() {
    if (in_word_ && !skip_word_) {
      RelocateProject(&word_.text);
      word_.is_input = input_;
      command_.words.push_back(std::move(word_));
    }
    if (in_word_) skip_word_ = input_ = false;
    word_ = Word();
    in_word_ = false;
  }
  void EndCommand() {
    EndWord();
    skip_word_ = input_ = false;
    if (command_.words.empty()) return;
    commands_.push_back(std::exchange(command_, ShellCommand()));
  }
  void SingleQuotes() {
    in_word_ = true;
    const std::size_t end = std::min(text_.find('\'', at_ + 1), text_.size());
    absl::StrAppend(&word_.text, text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
  }
  void DoubleQuotes() {
    in_word_ = true;
    ++at_;
    while (at_ < text_.size() && Now() != '"') {
      if (Now() == '$' || Now() == '`') {
        Expand();
      } else {
        if (Now() == '\\' && absl::StrContains("\"\\$`\n", absl::string_view(text_.data() + at_ + 1, Next() ? 1 : 0)))
          ++at_;
        if (at_ < text_.size()) Add(text_[at_++]);
      }
    }
    ++at_;
  }
  void Escape() {
    if (Next() != '\n' && Next() != '\0') Add(Next());
    at_ += 2;
  }
  void Expand() {
    if (Now() == '`') {
      const std::size_t end = std::min(text_.find('`', at_ + 1), text_.size());
      Inner(text_.substr(at_ + 1, end - at_ - 1));
      at_ = end + 1;
      return Placeholder("");
    }
    if (Next() == '(') {
      const std::size_t end = ClosingParenthesis(at_ + 1);
      if (at_ + 2 < end && text_[at_ + 2] != '(') Inner(text_.substr(at_ + 2, end - at_ - 2));
      at_ = end + 1;
      return Placeholder("");
    }
    std::size_t end = at_ + 1;
    const bool braces = Next() == '{';
    if (braces) ++end;
    const std::size_t begin = end;
    while (end < text_.size() && IsNameCharacter(text_[end])) ++end;
    const absl::string_view name = text_.substr(begin, end - begin);
    const bool plain = !braces || (end < text_.size() && text_[end] == '}');
    if (braces) end = std::min(text_.find('}', end), text_.size() - 1) + 1;
    at_ = std::max(end, at_ + 1);
    if (plain && name == "PWD") {
      absl::StrAppend(&word_.text, ".");
      in_word_ = true;
      return;
    }
    Placeholder(name);
  }
  void Placeholder(absl::string_view name) {
    absl::StrAppend(&word_.text, "$", name);
    word_.expands = in_word_ = true;
  }
  std::size_t ClosingParenthesis(std::size_t open) const {
    int depth = 0;
    for (std::size_t i = open; i < text_.size(); ++i) {
      if (text_[i] == '(') ++depth;
      if (text_[i] == ')' && --depth == 0) return i;
    }
    return text_.size();
  }
  void Inner(absl::string_view text) {
    if (depth_ >= kMaxNesting) return;
    for (ShellCommand& command : Splitter(text, depth_ + 1).Split()) commands_.push_back(std::move(command));
  }

  void SkipLine() { at_ = std::min(text_.find('\n', at_), text_.size()); }

  void Redirect() {
    // A number in front of a redirection is the descriptor.
    if (in_word_ && std::ranges::all_of(word_.text, [](unsigned char c) { return absl::ascii_isdigit(c); })) {
      word_ = Word();
      in_word_ = false;
    }
    EndWord();
    const bool in = Now() == '<';
    std::size_t signs = 0;
    while (at_ < text_.size() && (Now() == '<' || Now() == '>' || Now() == '|' || Now() == '&')) {
      ++at_;
      ++signs;
    }
    if (in && signs == 1 && at_ < text_.size() && Now() == '(') return;  // <(command)
    if (in && signs == 2) return HereDocument();
    skip_word_ = !in || signs == 3;
    input_ = in && signs == 1;
  }
  void HereDocument() {
    if (at_ < text_.size() && Now() == '-') ++at_;
    while (at_ < text_.size() && (Now() == ' ' || Now() == '\t')) ++at_;
    std::string end;
    while (at_ < text_.size() && !absl::ascii_isspace(static_cast<unsigned char>(Now())) &&
           !absl::StrContains(";&|()<>", absl::string_view(text_.data() + at_, 1))) {
      if (Now() != '\'' && Now() != '"' && Now() != '\\') end += Now();
      ++at_;
    }
    here_ends_.push_back({command_index(), end});
  }
  std::size_t command_index() const { return commands_.size(); }
  void ReadHereDocument() {
    for (const auto& [index, end] : std::exchange(here_ends_, {})) {
      std::string document;
      while (at_ < text_.size()) {
        const std::size_t line_end = std::min(text_.find('\n', at_), text_.size());
        const absl::string_view line = text_.substr(at_, line_end - at_);
        at_ = std::min(line_end + 1, text_.size());
        if (absl::StripAsciiWhitespace(line) == end) break;
        absl::StrAppend(&document, line, "\n");
      }
      if (index < commands_.size()) commands_[index].here_document = document;
    }
  }

  const absl::string_view text_;
  const int depth_;
  std::size_t at_ = 0;
  std::vector<ShellCommand> commands_;
  ShellCommand command_;
  Word word_;
  bool in_word_ = false, skip_word_ = false, input_ = false;
  std::vector<std::pair<std::size_t, std::string>> here_ends_;
};

}  // namespace

std::vector<ShellCommand> SplitCommands(absl::string_view text) { return Splitter(text, 0).Split(); }

absl::string_view BaseName(absl::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

void RelocateProject(std::string* text) {
  absl::string_view rest = *text;
  const bool url = absl::ConsumePrefix(&rest, "file://");
  if (!absl::ConsumePrefix(&rest, kCode) || (!rest.empty() && !absl::StrContains("/[#", rest[0]))) return;
  *text = absl::StrCat(url ? "file:" : "", ".", rest);
}

bool IsAssignment(absl::string_view word) {
  const std::size_t equals = word.find('=');
  return equals != absl::string_view::npos && equals != 0 &&
         std::ranges::all_of(word.substr(0, equals), IsNameCharacter);
}

bool Locate(absl::string_view directory, absl::string_view path, std::string* located) {
  std::vector<absl::string_view> parts = absl::StrSplit(directory, '/', absl::SkipEmpty());
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == "..") {
      if (parts.empty()) return false;
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  *located = absl::StrJoin(parts, "/");
  return true;
}

}  // namespace riseml::builder
