#include "cli/render/state.h"

#include "absl/strings/str_cat.h"

namespace riseml::cli {
namespace {

struct Symbol {
  absl::string_view utf8, ascii;
  Style style;
};

constexpr Symbol kNew = {"○", "o", Style::kPlain};
constexpr Symbol kUnderWay = {"●", "*", Style::kYellow};
constexpr Symbol kRuns = {"●", "*", Style::kGreen};
constexpr Symbol kGood = {"✓", "+", Style::kGreen};
constexpr Symbol kBad = {"✗", "x", Style::kRed};

const Symbol& SymbolOf(absl::string_view state) {
  if (state == "PENDING" || state == "BUILDING" || state == "STARTING") return kUnderWay;
  if (state == "RUNNING" || state == "SERVING") return kRuns;
  if (state == "FINISHED") return kGood;
  if (state == "KILLED" || state == "FAILED") return kBad;
  return kNew;
}

std::string Shown(const Terminal& terminal, const std::string& state) {
  const Symbol& symbol = SymbolOf(state);
  return Styled(terminal, symbol.style, terminal.utf8 ? symbol.utf8 : symbol.ascii);
}

}  // namespace

std::string StateName(v1::Experiment::State state) {
  const std::string& name = v1::Experiment::State_Name(state);
  return name.empty() || state == v1::Experiment::STATE_UNSPECIFIED ? "UNKNOWN" : name;
}
std::string StateName(v1::Job::State state) {
  const std::string& name = v1::Job::State_Name(state);
  return name.empty() || state == v1::Job::STATE_UNSPECIFIED ? "UNKNOWN" : name;
}

std::string ShownState(const Terminal& terminal, v1::Experiment::State state) {
  return absl::StrCat(StateSymbol(terminal, state), " ", StateName(state));
}
std::string ShownState(const Terminal& terminal, v1::Job::State state) {
  return absl::StrCat(StateSymbol(terminal, state), " ", StateName(state));
}

std::string StateSymbol(const Terminal& terminal, v1::Experiment::State state) {
  return Shown(terminal, StateName(state));
}
std::string StateSymbol(const Terminal& terminal, v1::Job::State state) { return Shown(terminal, StateName(state)); }
std::string StateSymbol(const Terminal& terminal, v1::Attempt::State state) {
  return Shown(terminal, v1::Attempt::State_Name(state));
}

bool IsTerminal(v1::Experiment::State state) {
  return state == v1::Experiment::FINISHED || state == v1::Experiment::FAILED || state == v1::Experiment::KILLED;
}
bool IsTerminal(v1::Job::State state) {
  return state == v1::Job::FINISHED || state == v1::Job::FAILED || state == v1::Job::KILLED;
}

}  // namespace riseml::cli
