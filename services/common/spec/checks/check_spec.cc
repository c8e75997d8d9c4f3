#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/checks/check.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/image.h"

namespace riseml::spec {
namespace {

// Bounds what Combinations() may hold altogether.
constexpr std::int64_t kLargestGrid = 64 << 20;
constexpr std::size_t kLongestProjectName = 100;

bool IsAlphanumeric(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }

absl::Status CheckImageName(const View& view, absl::string_view image) {
  if (image.empty())
    return view.FailSentence(
        "No image configured: write the name of an image, image: python:3.11, or leave the key out");
  const bool blank = std::any_of(image.begin(), image.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7F; });
  if (!blank && image.front() != '-') return absl::OkStatus();
  return view.FailSentence(absl::StrCat(PythonText(view.node()),
                                        " is not the name of an image: write NAME or NAME:TAG, "
                                        "image: python:3.11"));
}

// A bound on the bytes all combinations take together.
bool GridFits(const Train& train) {
  constexpr std::int64_t kPairOverhead = 64;
  std::int64_t bytes_a_combination = 0;
  for (const Parameter& parameter : train.parameters) {
    std::size_t longest = 0;
    for (const std::string& value : parameter.values) longest = std::max(longest, value.size());
    bytes_a_combination += static_cast<std::int64_t>(parameter.name.size() + longest) + kPairOverhead;
  }
  return bytes_a_combination <= kLargestGrid / CombinationCount(train);
}

absl::Status CheckGrid(const View& parameters, const Train& train) {
  if (CombinationCount(train) > kMostCombinations) {
    return parameters.FailSentence(absl::StrCat("the parameters span more than ", kMostCombinations,
                                                " combinations: give fewer values, or several files"));
  }
  if (GridFits(train)) return absl::OkStatus();
  return parameters.FailSentence("the combinations of all parameters are larger than 64 MB: shorten the values");
}

absl::StatusOr<std::vector<std::string>> CheckRun(const View& view) {
  RISEML_ASSIGN_OR_RETURN(std::vector<std::string> run,
                          view.Lines("write one command or a list of commands, run: [\"python a.py\"]"));
  const auto does_nothing = [](absl::string_view command) {
    command = absl::StripAsciiWhitespace(command);
    return command.empty() || (command.front() == '#' && !absl::StrContains(command, '\n'));
  };
  if (std::ranges::all_of(run, does_nothing))
    return view.Fail("'run' must not be empty: write at least one command, run: python train.py");
  return run;
}

absl::StatusOr<std::vector<std::string>> CheckInstall(const View& view) {
  RISEML_ASSIGN_OR_RETURN(std::vector<std::string> install,
                          view.Lines("write one command or a list of commands, or leave the key out"));
  if (install.size() == 1 && install[0].empty()) install.clear();
  return install;
}

absl::Status CheckFramework(const View& view) {
  constexpr absl::string_view kInstead = "write framework: tensorflow, or leave the key out and name an image";
  if (view.node().kind == Kind::kText && view.node().text == "tensorflow") return absl::OkStatus();
  return view.Fail(absl::StrCat(PythonText(view.node()), " is not one of ['tensorflow']: ", kInstead));
}

// Image of the train section, given or derived.
absl::Status CheckImage(const View& section, Train& train) {
  const std::optional<View> image = section.Find("image");
  if (!image) {
    if (!train.tensorflow)
      return section.FailSentence("No image configured: write image: NAME, e.g. image: python:3.11");
    train.image = DerivedImage(train);
    return absl::OkStatus();
  }
  const absl::string_view instead = image->node().kind == Kind::kMapping
                                        ? "write image: NAME, and 'install' beside it, not below it"
                                        : "write the name of an image, image: python:3.11";
  RISEML_ASSIGN_OR_RETURN(train.image, image->Text(instead));
  RISEML_RETURN_IF_ERROR(CheckImageName(*image, train.image));
  // The normal form of another client holds derived images too.
  train.image_given = !section.origin().lenient || !train.tensorflow || train.image != DerivedImage(train);
  return absl::OkStatus();
}

}  // namespace

bool IsProjectName(absl::string_view name) {
  if (name.size() < 2 || !IsAlphanumeric(name.front()) || !IsAlphanumeric(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return IsAlphanumeric(c) || c == '-' || c == '_'; });
}

// More than any cluster has; beyond, sums in other units would not fit into 64 bits.
absl::StatusOr<double> Amount(const View& view, double most, absl::string_view instead) {
  RISEML_ASSIGN_OR_RETURN(const double amount, view.Number(0.01, instead));
  if (amount <= most) return amount;
  return view.FailSentence(absl::StrCat("must be at most ", static_cast<std::int64_t>(most), ": ", instead));
}

absl::StatusOr<Resources> CheckResources(const View& view) {
  RISEML_RETURN_IF_ERROR(view.IsObject(kResourcesObject));
  Resources resources;
  if (const auto cpus = view.Find("cpus")) {
    RISEML_ASSIGN_OR_RETURN(resources.cpus,
                            Amount(*cpus, 1e6, "write cores as a number, cpus: 0.5, or leave the key out"));
  }
  if (const auto mem = view.Find("mem")) {
    RISEML_ASSIGN_OR_RETURN(resources.mem_mb,
                            Amount(*mem, 1e9, "write megabytes as a number, mem: 512, or leave the key out"));
  }
  if (const auto gpus = view.Find("gpus")) {
    RISEML_ASSIGN_OR_RETURN(resources.gpus, gpus->Integer(0, "write whole GPUs, gpus: 1, or leave the key out"));
  }
  return resources;
}

absl::StatusOr<Train> CheckTrain(const View& section, std::vector<std::string>& warnings) {
  RISEML_RETURN_IF_ERROR(section.IsObject(kTrainObject));
  Train train;
  RISEML_ASSIGN_OR_RETURN(
      const View resources,
      section.Require("resources", "add resources: {cpus: 1, mem: 512, gpus: 0}, or resources: {}"));
  RISEML_ASSIGN_OR_RETURN(train.resources, CheckResources(resources));
  RISEML_ASSIGN_OR_RETURN(const View run, section.Require("run", "add a command, run: python train.py"));
  RISEML_ASSIGN_OR_RETURN(train.run, CheckRun(run));
  if (const auto install = section.Find("install")) {
    RISEML_ASSIGN_OR_RETURN(train.install, CheckInstall(*install));
  }
  if (const auto framework = section.Find("framework")) {
    RISEML_RETURN_IF_ERROR(CheckFramework(*framework));
    train.framework = "tensorflow";
    train.tensorflow = TensorFlow{};
  }
  if (const auto tensorflow = section.Find("tensorflow")) {
    RISEML_ASSIGN_OR_RETURN(TensorFlow checked, CheckTensorFlow(*tensorflow, train.resources));
    if (train.tensorflow) {
      train.tensorflow = std::move(checked);
    } else {
      warnings.push_back(tensorflow->Note("'tensorflow' is ignored without framework: tensorflow"));
    }
  }
  RISEML_RETURN_IF_ERROR(CheckImage(section, train));
  if (const auto concurrency = section.Find("concurrency")) {
    RISEML_ASSIGN_OR_RETURN(train.concurrency,
                            concurrency->Integer(1, "write a whole number, concurrency: 2, or leave the key out"));
  }
  RISEML_RETURN_IF_ERROR(CheckScheduling(section, train));
  if (const auto parameters = section.Find("parameters")) {
    RISEML_ASSIGN_OR_RETURN(train.parameters, CheckParameters(*parameters, warnings));
    train.has_parameters = !train.parameters.empty();
    RISEML_RETURN_IF_ERROR(CheckGrid(*parameters, train));
  }
  if (const auto env = section.Find("env")) {
    RISEML_ASSIGN_OR_RETURN(train.env, CheckEnv(*env, train));
  }
  if (const auto secrets = section.Find("secrets")) {
    RISEML_ASSIGN_OR_RETURN(train.secrets, CheckSecrets(*secrets, train));
  }
  if (const auto inputs = section.Find("inputs")) {
    RISEML_ASSIGN_OR_RETURN(train.inputs, CheckInputs(*inputs));
  }
  if (const auto install = section.Find("install")) RISEML_RETURN_IF_ERROR(CheckInstallSteps(*install, train));
  RISEML_RETURN_IF_ERROR(CheckCommands(run, train, warnings));
  return train;
}

absl::StatusOr<Spec> CheckSpec(const View& root) {
  if (root.is_null()) {
    return root.Fail(
        "None is not of type 'object': the file is empty, write 'project:' and 'train:', as `riseml init` does");
  }
  RISEML_RETURN_IF_ERROR(root.IsObject(kTopObject));
  Spec spec;
  RISEML_ASSIGN_OR_RETURN(const View project, root.Require("project", "add project: NAME as the first line"));
  RISEML_ASSIGN_OR_RETURN(spec.project, project.Text("write the project's name, project: my-project"));
  if (!IsProjectName(spec.project)) {
    return project.FailSentence(
        absl::StrCat("Project name must start and end with an alphanumeric character and may additionally consist out "
                     "of hyphens and "
                     "underscores inbetween: write two or more of A-Z, a-z, 0-9, '-' and '_' instead of ",
                     PythonText(project.node())));
  }
  if (spec.project.size() > kLongestProjectName)
    return project.FailSentence(
        absl::StrCat("Project name must have at most ", kLongestProjectName, " characters: write a shorter one"));
  const auto deploy = root.Find("deploy");
  if (deploy && !deploy->is_null())
    spec.warnings.push_back(deploy->Note("'deploy' is ignored: only 'train' can be run"));
  if (deploy && !root.Find("train")) return spec;
  RISEML_ASSIGN_OR_RETURN(const View train, root.Require("train", "add train: with image, resources and run"));
  RISEML_ASSIGN_OR_RETURN(spec.train, CheckTrain(train, spec.warnings));
  return spec;
}

}  // namespace riseml::spec
