#include "services/api/data/config_copy.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/logtext/redact.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/resources.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/names.h"

namespace riseml::api {
namespace {

// A JSON string is a YAML scalar too.
std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// True if the text can be a block of lines. Text that YAML would change there is written as a JSON string.
bool IsBlock(absl::string_view text) {
  if (!absl::StrContains(text, '\n') || !absl::EndsWith(text, "\n") || absl::EndsWith(text, "\n\n")) return false;
  if (absl::ascii_isspace(static_cast<unsigned char>(text.front()))) return false;
  for (const char c : text)
    if (c != '\n' && (absl::ascii_iscntrl(static_cast<unsigned char>(c)) || !absl::ascii_isascii(c))) return false;
  return true;
}

void AddList(std::string& out, absl::string_view key, const std::vector<std::string>& items) {
  if (items.empty()) return;
  absl::StrAppend(&out, "  ", key, ":\n");
  for (const std::string& item : items) {
    if (!IsBlock(item)) {
      absl::StrAppend(&out, "    - ", Quoted(item), "\n");
      continue;
    }
    absl::StrAppend(&out, "    - |\n");
    for (const absl::string_view line : absl::StrSplit(absl::string_view(item).substr(0, item.size() - 1), '\n'))
      absl::StrAppend(&out, line.empty() ? "" : "      ", line, "\n");
  }
}

void AddResources(std::string& out, const v1::Resources& resources) {
  std::string amounts;
  const auto add = [&amounts](absl::string_view name, const auto& amount) {
    absl::StrAppend(&amounts, amounts.empty() ? "" : ", ", name, ": ", amount);
  };
  if (resources.has_cpus()) add("cpus", resources.cpus());
  if (AsksForMemory(resources)) add("mem", static_cast<double>(MemoryBytes(resources)) / 1e6);
  if (resources.has_gpus()) add("gpus", resources.gpus());
  absl::StrAppend(&out, "  resources: {", amounts, "}\n");
}

void AddScheduling(std::string& out, const v1::TrainSpec& spec) {
  if (!spec.queue().empty()) absl::StrAppend(&out, "  queue: ", Quoted(spec.queue()), "\n");
  if (spec.priority() != 0) absl::StrAppend(&out, "  priority: ", spec.priority(), "\n");
  if (spec.has_max_run_time())
    absl::StrAppend(&out, "  max_run_time: ", absl::FormatDuration(FromProtoDuration(spec.max_run_time())), "\n");
  if (spec.node_selectors().empty()) return;
  absl::StrAppend(&out, "  node_selector:\n");
  const std::map<std::string, std::string> labels(spec.node_selectors().begin(), spec.node_selectors().end());
  for (const auto& [label, value] : labels) absl::StrAppend(&out, "    ", Quoted(label), ": ", Quoted(value), "\n");
}

std::string Filled(const std::string& text, const Parameters& parameters) {
  const auto filled = spec::Substitute(text, parameters, spec::Undeclared::kKeep);
  return filled.ok() ? *filled : text;
}

// Returns the variables of the commands, as programs read parameters from these too.
std::map<std::string, std::string> CommandVariables(const ConfigCopy& copy) {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : copy.spec.env()) out[name] = Filled(value, copy.parameters);
  for (const auto& [name, value] : copy.parameters) out[spec::EnvironmentName(name)] = value;
  return out;
}

// Returns comments that say what ran, one line each.
std::string Heading(const ConfigCopy& copy) {
  const ExperimentName& name = copy.experiment;
  std::string out = absl::StrCat("# Configuration of experiment ", ShortId(name), " of ", name.user,
                                 ".\n# Runs again in the directory of its code: riseml code checkout ", ShortId(name),
                                 " DIR && cd DIR && riseml train -f THIS-FILE\n# Revision: ", copy.commit, "\n");
  if (const v1::GitState& git = copy.spec.git(); !git.commit().empty()) {
    absl::StrAppend(&out, "# Your commit: ", git.commit(),
                    git.branch().empty() ? "" : absl::StrCat(" on ", Quoted(git.branch())),
                    git.dirty() ? ", with changes that are not committed" : "",
                    git.untracked() ? ", with files that git does not track" : "", "\n");
  }
  for (const auto& [parameter, value] : copy.parameters)
    absl::StrAppend(&out, "# Parameter ", parameter, ": ", Quoted(value), "\n");
  return out;
}

// The riseml.yml that runs the experiment again.
std::string Body(const ConfigCopy& copy) {
  std::string out;
  absl::StrAppend(&out, "project: ", Quoted(copy.project), "\ntrain:\n  image: ", Quoted(copy.spec.image()), "\n");
  if (!copy.spec.framework().empty()) {
    absl::StrAppend(&out, "  framework: ", copy.spec.framework(),
                    "\n  tensorflow:\n    tensorboard: ", copy.spec.tensorboard() ? "true" : "false", "\n");
    if (!copy.spec.framework_version().empty())
      absl::StrAppend(&out, "    version: ", Quoted(copy.spec.framework_version()), "\n");
  }
  AddResources(out, copy.spec.resources());
  if (copy.spec.has_retries())
    absl::StrAppend(&out, "  retries: {infrastructure: ", copy.spec.retries().infrastructure(),
                    ", error: ", copy.spec.retries().error(), "}\n");
  AddScheduling(out, copy.spec);
  AddList(out, "install", {copy.spec.install().begin(), copy.spec.install().end()});
  if (const auto variables = CommandVariables(copy); !variables.empty()) {
    absl::StrAppend(&out, "  env:\n");
    for (const auto& [variable, value] : variables) absl::StrAppend(&out, "    ", variable, ": ", Quoted(value), "\n");
  }
  if (!copy.spec.secrets().empty()) absl::StrAppend(&out, "  secrets:\n");
  for (const v1::SecretUse& use : copy.spec.secrets())
    absl::StrAppend(&out, "    - ", use.name(), use.as_file() ? ": file\n" : "\n");
  if (!copy.spec.inputs().empty()) absl::StrAppend(&out, "  inputs:\n");
  for (const v1::Input& input : copy.spec.inputs()) {
    const auto source = ParseExperimentName(input.experiment());
    if (source.ok())
      absl::StrAppend(&out, "    ", Quoted(input.name()), ": ",
                      Quoted(absl::StrCat(source->user, ".", ShortId(*source))), "\n");
  }
  std::vector<std::string> run;
  for (const std::string& command : copy.spec.run()) run.push_back(Filled(command, copy.parameters));
  AddList(out, "run", run);
  return out;
}

}  // namespace

std::string ConfigText(const ConfigCopy& copy) {
  const std::string whole = absl::StrCat(Heading(copy), Body(copy));
  const std::string shown = logtext::MaskUrlPasswords(whole);
  if (shown == whole) return whole;
  return absl::StrCat("# Passwords in URLs are hidden as *: write them again before it runs.\n", shown);
}

}  // namespace riseml::api
