// docs/states.md is printed from the tables; RISEML_UPDATE_GOLDEN=1 writes it anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "services/api/data/states.h"
#include "services/common/base/files/file.h"

namespace riseml::api {
namespace {

constexpr char kIntro[] =
    "# States\n\n"
    "Printed from the tables in `services/api/data/states.h` by `states_doc_test`; do not edit by hand.\n\n"
    "A job's state is that of its newest attempt; before its first attempt it is CREATED (its turn has not come) or "
    "PENDING (it waits for\n"
    "resources). FINISHED, FAILED and KILLED are final: nothing leads out of them, which a trigger of the database "
    "enforces too. Every\n"
    "transition is a row of the history (`riseml.v1.ExperimentService.ListTransitions`).\n";

constexpr char kDerived[] =
    "\n## Experiments and sets\n\n"
    "Not moved by events but derived. A single experiment: BUILDING until its build has FINISHED; FAILED (reason "
    "BUILD_FAILED) when the\n"
    "build failed. Then as its job; of several, RUNNING once one has run, STARTING or PENDING as the furthest; when "
    "all "
    "have ended: FAILED if\n"
    "any failed, KILLED if any was killed, else FINISHED. A set: BUILDING until its build has FINISHED; RUNNING, "
    "STARTING or PENDING "
    "as the furthest of its\n"
    "unfinished children; when all children have ended: FINISHED if all of them finished, KILLED if the set was "
    "killed, FAILED if any child\n"
    "failed, else FINISHED (children killed one by one do not fail a set). At most `concurrency` children are active; "
    "the end of one releases\n"
    "the next in the same transaction.\n";

template <class State, std::size_t N, class Edges>
std::string Table(absl::string_view title, const std::array<absl::string_view, N>& states, const Edges& edges) {
  std::string out = absl::StrCat("\n## ", title, "\n\n| from | event | to |\n|---|---|---|\n");
  for (const auto& edge : edges)
    absl::StrAppend(&out, "| ", Name(edge.from), " | ", Name(edge.on), " | ", Name(edge.to), " |\n");
  absl::StrAppend(&out, "\n```mermaid\nstateDiagram-v2\n");
  for (const auto& edge : edges)
    absl::StrAppend(&out, "  ", Name(edge.from), " --> ", Name(edge.to), ": ", Name(edge.on), "\n");
  for (std::size_t s = 0; s < N; ++s)
    if (IsTerminal(static_cast<State>(s))) absl::StrAppend(&out, "  ", states[s], " --> [*]\n");
  return absl::StrCat(out, "```\n");
}

TEST(StatesDoc, IsTrue) {
  const std::string expected = absl::StrCat(kIntro, Table<AttemptState>("Attempts", kAttemptStateNames, kAttemptEdges),
                                            Table<JobState>("Jobs", kJobStateNames, kJobEdges), kDerived);
  const std::string path = RISEML_SOURCE_DIR "/docs/states.md";
  if (std::getenv("RISEML_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileAtomically(path, expected).ok());
  }
  const auto actual = ReadFile(path, 1 << 20);
  ASSERT_TRUE(actual.ok()) << actual.status();
  EXPECT_EQ(*actual, expected) << "run this test with RISEML_UPDATE_GOLDEN=1 and look at the difference";
}

}  // namespace
}  // namespace riseml::api
