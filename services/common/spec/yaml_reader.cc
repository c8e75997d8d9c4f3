#include <algorithm>
#include <sstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/spec/parse.h"
#include "services/common/spec/reader.h"
#include "services/common/spec/tree_builder.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/parser.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kCoreTag = "tag:yaml.org,2002:";
constexpr absl::string_view kTabs = "a tab as indentation: indent with spaces";
constexpr absl::string_view kQuoteBraces =
    "a command that begins with '{{' is YAML's map syntax: put it in quotes, run: \"{{x}} …\"";

// Ends yaml-cpp's parser from inside a callback; never leaves this file.
struct Refused {
  absl::Status status;
};

// Advice for an error of yaml-cpp: says what to write instead.
struct Advice {
  absl::string_view what;
  absl::string_view instead;
};
constexpr Advice kAdvice[] = {
    {"illegal map value",
     "write 'key: value' with a blank, indent the keys of one map alike, and put text that holds ': ' in quotes"},
    {"end of map not found", "indent the keys of one map alike, and put the whole of a value in quotes or nothing"},
    {"end of map flow not found", "close the '{' with '}', or put text that begins with '{' in quotes"},
    {"end of sequence not found", "give the entries of one list the same indentation"},
    {"end of sequence flow not found", "close the '[' with ']', or put text that begins with '[' in quotes"},
    {"illegal EOF in scalar", "close the quotes"},
    {"illegal block entry", "begin each '- ' entry on a line of its own"},
    {"illegal flow end", "remove the bracket, or put the text in quotes"},
    {"the referenced anchor is not defined",
     "define it with '&name' above, or put text that begins with '*' in quotes"},
    {"alias not found after *", "put text that begins with '*' in quotes"},
    {"unknown token", "put text that begins with '@', '%' or '`' in quotes"},
    {"unknown escape character", "write a backslash as \\\\, or use single quotes"},
};

absl::string_view LeadingBlanks(absl::string_view line) { return line.substr(0, line.find_first_not_of(" \t")); }

// True if null is written out at `column`, false if the value before it is left out.
bool IsNull(absl::string_view line, int column) {
  line.remove_prefix(std::min<std::size_t>(std::max(column, 0), line.size()));
  const absl::string_view word = line.substr(0, line.find_first_of(" \t,]}#:"));
  line.remove_prefix(word.size());
  line = absl::StripLeadingAsciiWhitespace(line);
  if (absl::StartsWith(word, "&")) return true;
  return !word.empty() && ResolvePlain(word) == Kind::kNull && !absl::StartsWith(line, ":");
}

// True if the scalar at the front of `text`, behind anchor and tag, has an open quote, which yaml-cpp ends at the end
// of the file.
bool IsOpenQuote(absl::string_view text) {
  while (absl::StartsWith(text, "&") || absl::StartsWith(text, "!")) {
    text.remove_prefix(std::min(text.find_first_of(" \t\n"), text.size()));
    text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
  }
  if (text.empty() || (text[0] != '"' && text[0] != '\'')) return false;
  const char quote = text[0];
  for (std::size_t i = 1; i < text.size(); ++i) {
    const bool escaped = quote == '"' ? text[i] == '\\' : absl::StartsWith(text.substr(i), "''");
    if (escaped) {
      ++i;
    } else if (text[i] == quote) {
      return false;
    }
  }
  return true;
}

class Handler final : public YAML::EventHandler {
 public:
  explicit Handler(const Source& source) : source_(source), builder_(source.name()) {}

  Node Take() { return builder_.Take(); }

  [[noreturn]] void Refuse(const YAML::Mark& mark, absl::string_view what) const {
    const Position at = Place(mark);
    throw Refused{
        InvalidSpec(source_.name(), {at.line, at.column, "", absl::StrCat("Error in configuration file: ", what)})};
  }

  std::size_t Offset(const YAML::Mark& mark) const { return source_.Offset(mark.line, mark.column); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (!builder_.done()) return;
    if (absl::StartsWith(source_.LineAt(Offset(mark)), "---"))
      Refuse(mark, "a second document: write one document, without a second '---'");
    Refuse(mark, "text behind the end of the document: remove it, or put text with quotes and brackets in quotes");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const bool written = IsNull(source_.LineAt(Offset(mark)), mark.column);
    if (written) CheckIndentation(mark);
    Check(builder_.Scalar(At(mark, Kind::kNull), anchor, !written));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    CheckIndentation(mark);
    Check(builder_.Alias(anchor, Place(mark)));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckIndentation(mark);
    if (tag != "?" && IsOpenQuote(absl::string_view(source_.text()).substr(Offset(mark))))
      Refuse(mark, "quotes without an end: close the quotes");
    Node node = At(mark, ScalarKind(mark, tag, value));
    node.text = value;
    Check(builder_.Scalar(std::move(node), anchor));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    Open(mark, tag, "seq", anchor, style, Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    Open(mark, tag, "map", anchor, style, Kind::kMapping);
  }
  void OnMapEnd() override { Close(); }

 private:
  Position Place(const YAML::Mark& mark) const { return source_.At(Offset(mark)); }

  Node At(const YAML::Mark& mark, Kind kind) const {
    const Position at = Place(mark);
    return {kind, "", at.line, at.column, {}, {}};
  }

  static void Check(absl::Status status) {
    if (!status.ok()) throw Refused{std::move(status)};
  }

  void Open(const YAML::Mark& mark, const std::string& tag, absl::string_view core, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style, Kind kind) {
    if (tag != "?" && tag != "!" && tag != absl::StrCat(kCoreTag, core)) RefuseTag(mark, tag);
    if (style == YAML::EmitterStyle::Flow || flow_ > 0) {
      ++flow_;
    } else {
      CheckIndentation(mark);
    }
    Check(builder_.Open(kind, Place(mark), anchor));
  }

  void Close() {
    if (flow_ > 0) --flow_;
    Check(builder_.Close());
  }

  // yaml-cpp treats tabs as blanks, but YAML does not allow them as indentation.
  void CheckIndentation(const YAML::Mark& mark) const {
    if (flow_ > 0) return;
    const std::size_t offset = Offset(mark);
    const absl::string_view line = source_.LineAt(offset);
    const absl::string_view before = line.substr(0, offset - (line.data() - source_.text().data()));
    if (!absl::StrContains(LeadingBlanks(before), "\t")) return;
    if (before.find_first_not_of(" \t-?:") == absl::string_view::npos) Refuse(mark, kTabs);
  }

  Kind ScalarKind(const YAML::Mark& mark, const std::string& tag, const std::string& value) const {
    if (tag == "?") return ResolvePlain(value);
    if (tag == "!") return Kind::kText;
    absl::string_view core = tag;
    if (!absl::ConsumePrefix(&core, kCoreTag)) RefuseTag(mark, tag);
    const Kind kind = ResolvePlain(value);
    if (core == "str") return Kind::kText;
    if (core == "float" && (kind == Kind::kInteger || kind == Kind::kNumber)) return Kind::kNumber;
    if (core == "int" && kind == Kind::kInteger) return kind;
    if (core == "bool" && kind == Kind::kBoolean) return kind;
    if (core == "null" && kind == Kind::kNull) return kind;
    if (core == "float" || core == "int" || core == "bool" || core == "null")
      Refuse(mark, absl::StrCat("a value that is no ", core, " behind !!", core, ": remove the tag"));
    RefuseTag(mark, tag);
  }

  [[noreturn]] void RefuseTag(const YAML::Mark& mark, absl::string_view tag) const {
    Node text;
    text.kind = Kind::kText;
    text.text = std::string(tag);
    Refuse(mark, absl::StrCat("the unknown tag ", PythonText(text),
                              ": remove the tag, or put text that begins with '!' in quotes"));
  }

  const Source& source_;
  TreeBuilder builder_;
  int flow_ = 0;  // collections open since the outermost one in brackets
};

// Turns an error of yaml-cpp into a sentence with advice.
std::string Explain(const Source& source, std::size_t offset, std::string what) {
  for (char& c : what)  // yaml-cpp quotes single bytes of the text
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  const absl::string_view line = source.LineAt(offset);
  if (absl::StrContains(LeadingBlanks(line), "\t")) return std::string(kTabs);
  if (absl::StrContains(line, ": {{") || absl::StrContains(line, "- {{")) return std::string(kQuoteBraces);
  for (const Advice& advice : kAdvice)
    if (absl::StartsWith(what, advice.what)) return absl::StrCat(what, ": ", advice.instead);
  return absl::StrCat(what, ": write plain YAML 1.2, with unusual text in quotes");
}

}  // namespace

absl::StatusOr<Node> ReadYaml(const Source& source) {
  Handler handler(source);
  try {
    std::istringstream in(source.text());
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(handler)) {
    }
    return handler.Take();
  } catch (const Refused& refused) {
    return refused.status;
  } catch (const YAML::Exception& e) {
    const std::size_t offset = handler.Offset(e.mark);
    const Position at = source.At(offset);
    return InvalidSpec(source.name(), {at.line, at.column, "",
                                       absl::StrCat("Error in configuration file: ", Explain(source, offset, e.msg))});
  } catch (const std::exception& e) {
    return InvalidSpec(source.name(), {1, 1, "",
                                       absl::StrCat("Error in configuration file: ", e.what(),
                                                    ": write plain YAML 1.2, with unusual text in quotes")});
  }
}

}  // namespace riseml::spec
