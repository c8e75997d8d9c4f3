#include "services/common/spec/template.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/common/spec/node.h"
#include "services/common/spec/spec.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kRest = R"yml(
train:
  # What each job asks for. Cores may be fractions, memory is in megabytes.
  resources:
    cpus: 1
    mem: 512
    gpus: 0

  # Base image of the job. Where jobs run as processes they use a Python environment instead.
  image: python:3.11

  # Steps that prepare the environment, run once and kept until they change.
  # install:
  #   - pip install -r requirements.txt

  # Commands of the job, one after the other, in a copy of this directory.
  # What they write to $OUTPUT_DIR is kept.
  run:
    - python3 -c "print('hello from RiseML')"

  # Every combination of these values becomes a job of its own: write {{learning-rate}} in `run`.
  # parameters:
  #   learning-rate: [0.1, 0.01]
  #   layers: {range: {min: 1, max: 3, step: 1}}

  # Jobs that may run at the same time.
  # concurrency: 2
)yml";

}  // namespace

std::string InitTemplate(absl::string_view project) {
  const bool plain = ResolvePlain(project) == Kind::kText;
  return absl::StrCat("# Configuration of this project; `riseml validate` checks it, `riseml train` runs it.\n",
                      "project: ", plain ? std::string(project) : absl::StrCat("\"", project, "\""), "\n", kRest);
}

std::string ProjectNameFrom(absl::string_view directory) {
  std::string name;
  for (char c : directory) {
    const bool keep = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
    if (keep || (!name.empty() && name.back() != '-')) name += keep ? c : '-';
  }
  const std::size_t first = name.find_first_not_of("-_");
  if (first == std::string::npos) return "project";
  name = name.substr(first, name.find_last_not_of("-_") - first + 1);
  return IsProjectName(name) ? name : "project";
}

}  // namespace riseml::spec
