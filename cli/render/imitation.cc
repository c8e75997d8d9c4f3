#include "cli/render/imitation.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"

namespace riseml::cli {
namespace {

// Blanks, also beyond ASCII, and characters that look like an arrowhead.
constexpr absl::string_view kBlanks[] = {" ",      "\t",     "\u00a0", "\u2000", "\u2001", "\u2002", "\u2003",
                                         "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                                         "\u202f", "\u205f", "\u3000", "\u2800", "\u3164"};
constexpr absl::string_view kHeads[] = {">", "\uff1e", "\u203a", "\u276f", "\u27e9", "\u2192", "\u27f6", "\u279c"};
constexpr std::size_t kMostArrowBytes = 16;

void SkipBlanks(absl::string_view& text) {
  while (std::ranges::any_of(kBlanks, [&text](absl::string_view blank) { return absl::ConsumePrefix(&text, blank); })) {
  }
}

// Consumes "-->" and similar arrows: text without ASCII letters and digits that ends with a head.
bool ConsumeArrow(absl::string_view& text) {
  std::size_t end = 0;
  for (const absl::string_view head : kHeads)
    if (const std::size_t at = text.substr(0, kMostArrowBytes).rfind(head); at != absl::string_view::npos)
      end = std::max(end, at + head.size());
  const absl::string_view arrow = text.substr(0, end);
  if (end == 0 || std::ranges::any_of(arrow, [](unsigned char c) { return absl::ascii_isalnum(c); })) return false;
  text.remove_prefix(end);
  return true;
}

bool ConsumeState(absl::string_view& text) {
  for (const auto* states :
       {v1::Experiment::State_descriptor(), v1::Job::State_descriptor(), v1::Attempt::State_descriptor()})
    for (int i = 0; i < states->value_count(); ++i)
      if (absl::ConsumePrefix(&text, states->value(i)->name())) return true;
  return absl::ConsumePrefix(&text, "UNKNOWN");
}

}  // namespace

bool LooksLikeOurs(absl::string_view line) {
  SkipBlanks(line);
  if (absl::StartsWith(line, "log is cut at ")) return true;
  absl::string_view note = line;
  while (!note.empty() && absl::ascii_isdigit(static_cast<unsigned char>(note[0]))) note.remove_prefix(1);
  if (note.size() < line.size() && absl::StartsWith(note, " bytes of the log were lost on the node")) return true;
  const bool exact = absl::StartsWith(line, "-->");
  if (!ConsumeArrow(line)) return false;
  SkipBlanks(line);
  if (absl::StartsWith(line, "log of attempt ")) return true;
  // Programs print other arrows as well: such an arrow counts only with a state and nothing else behind it.
  if (!ConsumeState(line)) return false;
  SkipBlanks(line);
  return exact || line.empty() || absl::StartsWith(line, "(");
}

bool LooksLikeExplanation(absl::string_view line) {
  SkipBlanks(line);
  return absl::StartsWith(line, "Reason: ") || absl::StartsWith(line, "Message: ") ||
         absl::StartsWith(line, "Exit Code: ");
}

}  // namespace riseml::cli
