#include "cli/render/status_view.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/client/target.h"
#include "cli/render/environment_view.h"
#include "cli/render/format.h"
#include "cli/render/log_backlog.h"
#include "cli/render/output_lines.h"
#include "cli/render/state.h"
#include "cli/render/table.h"
#include "services/common/base/names.h"
#include "services/common/logtext/redact.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/resources.h"
#include "services/common/spec/grid.h"

namespace riseml::cli {
namespace {

constexpr std::size_t kShortCommit = 7;

using Cells = std::vector<std::string>;

std::string ProjectPart(const std::string& resource) {
  const auto name = ParseProjectName(resource);
  return name.ok() ? name->project : OneLine(resource);
}

std::string UserPart(const std::string& resource) {
  const auto name = ParseExperimentName(resource);
  return name.ok() ? name->user : "";
}

std::string TypeName(const v1::Experiment& experiment) {
  return experiment.type() == v1::Experiment::SET ? "Set" : "Experiment";
}

// Cuts the message in a table to 20 columns on a terminal; programs and files get all of it.
std::string Shortened(const Terminal& terminal, absl::string_view message) {
  std::string line = OneLine(message);
  if (!terminal.tty || Columns(line) <= 20) return line;
  return absl::StrCat(FirstColumns(line, 17), "...");
}

template <class Entity>
std::string Lasted(const Viewer& viewer, const Entity& entity) {
  const auto end = TimeOf(entity.end_time());
  return Took(TimeOf(entity.start_time()), end ? *end : viewer.now);
}

// "10 minutes ago".
template <class Entity>
std::string Started(const Viewer& viewer, const Entity& entity) {
  const std::string since = Since(TimeOf(entity.start_time()), viewer.now);
  return since == "-" || since == "just now" ? since : absl::StrCat(since, " ago");
}

// Lines for start, end and duration; empty before the start.
template <class Entity>
std::string Timing(const Viewer& viewer, const Entity& entity) {
  const auto start = TimeOf(entity.start_time());
  if (!start) return "";
  std::string out = absl::StrCat("Started:  ", Utc(*start), "\n");
  if (const auto end = TimeOf(entity.end_time())) absl::StrAppend(&out, "Finished: ", Utc(*end), "\n");
  absl::StrAppend(&out, "Duration: ", Lasted(viewer, entity), "\n");
  return out;
}

template <class Entity>
std::string Ending(const Entity& entity) {
  std::string out;
  if (!entity.reason().empty()) absl::StrAppend(&out, "Reason: ", OneLine(entity.reason()), "\n");
  if (!entity.message().empty()) absl::StrAppend(&out, "Message: ", OneLine(entity.message()), "\n");
  return out;
}

// Fills the values of parameters into commands; leaves a command as written where that fails.
std::vector<std::string> FilledCommands(const v1::Experiment& experiment) {
  const std::map<std::string, std::string> sorted(experiment.parameters().begin(), experiment.parameters().end());
  const spec::Combination parameters(sorted.begin(), sorted.end());
  std::vector<std::string> out;
  for (const std::string& command : experiment.spec().run())
    out.push_back(spec::Substitute(command, parameters, spec::Undeclared::kKeep).value_or(command));
  return out;
}

template <class Commands>
std::string CommandLines(const Commands& commands) {
  std::string out = "Run Commands:\n";
  for (const std::string& command : commands) {
    for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(command, "\n"), '\n'))
      absl::StrAppend(&out, "  ", OneLine(logtext::MaskUrlPasswords(line)), "\n");
  }
  return out;
}

// "Name: value", or "Name:" when there is none.
std::string Field(absl::string_view name, const std::string& value) {
  return absl::StrCat(name, value.empty() ? ":" : ": ", value, "\n");
}

std::string JobWait(const v1::Job& job) {
  if (IsTerminal(job.state()) || job.wait_reason().empty()) return "";
  if (job.wait_message().empty()) return OneLine(job.wait_reason());
  return absl::StrCat(OneLine(job.wait_message()), " (", OneLine(job.wait_reason()), ")");
}

// "0.5", "2.0" or "0.25": at least one decimal, and no digit of the value lost.
std::string Cores(const v1::Resources& resources) {
  const std::string exact = absl::StrFormat("%g", resources.cpus());
  return absl::StrContains(exact, '.') ? exact : absl::StrCat(exact, ".0");
}

std::string Megabytes(const v1::Resources& resources) {
  return absl::StrFormat("%.0f MB", static_cast<double>(MemoryBytes(resources)) / 1e6);
}

// "8 waits for 7.build (BUILD)" or "8 waits: no node has 2 free GPUs (NO_CAPACITY)".
std::string WaitLine(const std::string& id, absl::string_view wait) {
  const bool sentence = absl::ConsumePrefix(&wait, "waits ");
  return absl::StrCat(id, sentence ? " waits " : " waits: ", wait, "\n");
}

std::string JobTable(const Viewer& viewer, const google::protobuf::RepeatedPtrField<v1::Job>& jobs) {
  std::vector<Cells> rows;
  std::string waits;
  for (const v1::Job& job : jobs) {
    const std::string id = ShownId(job.name(), viewer.caller);
    const std::string wait = JobWait(job);
    const bool waiting = !wait.empty() && job.reason().empty();
    rows.push_back({id, ShownState(viewer.terminal, job.state()), Started(viewer, job), Lasted(viewer, job),
                    OneLine(waiting ? job.wait_reason() : job.reason()),
                    Shortened(viewer.terminal, waiting ? job.wait_message() : job.message()),
                    job.has_exit_code() ? absl::StrCat(job.exit_code()) : "", absl::StrCat(job.resources().gpus()),
                    Cores(job.resources()), Megabytes(job.resources())});
    if (!wait.empty()) absl::StrAppend(&waits, WaitLine(id, wait));
    absl::StrAppend(&waits, BacklogLines(job, viewer.caller));
    if (job.attempt_count() > 1)
      absl::StrAppend(&waits, id, " had ", job.attempt_count(), " attempts: riseml status ", id, " lists them\n");
  }
  return absl::StrCat(Table(viewer.terminal,
                            {{"JOB ID", 13},
                             {"STATE", 11},
                             {"STARTED", 8},
                             {"DURATION", 9},
                             {"REASON", 13},
                             {"MESSAGE", 20},
                             {"EXIT CODE", 10},
                             {"GPU", 6},
                             {"CPU", 6},
                             {"MEM", 6}},
                            rows),
                      waits.empty() ? "" : "\n", waits);
}

// "Attempt 1: ✗ FAILED on node local after 3 seconds: …", a line for each.
std::string AttemptLines(const Viewer& viewer, const v1::Job& job) {
  std::string out;
  for (const v1::Attempt& attempt : job.attempts()) {
    absl::StrAppend(&out, "Attempt ", attempt.number(), ": ", StateSymbol(viewer.terminal, attempt.state()), " ",
                    v1::Attempt::State_Name(attempt.state()), " on node ", OneLine(attempt.node()));
    if (attempt.has_end_time() && attempt.has_start_time())
      absl::StrAppend(&out, " after ", Took(TimeOf(attempt.start_time()), TimeOf(attempt.end_time())));
    if (!attempt.message().empty()) absl::StrAppend(&out, ": ", OneLine(attempt.message()));
    absl::StrAppend(&out, "\n");
  }
  return out;
}

// "● RUNNING (being killed)".
std::string StateText(const Viewer& viewer, const v1::Experiment& experiment) {
  const bool dying = experiment.desired_state() == v1::Experiment::DESIRED_KILLED && !IsTerminal(experiment.state());
  return absl::StrCat(ShownState(viewer.terminal, experiment.state()), dying ? " (being killed)" : "");
}

std::string Heading(const Viewer& viewer, const v1::Experiment& experiment) {
  std::string out = absl::StrCat("ID: ", ShownId(experiment.name(), viewer.caller), "\nType: ", TypeName(experiment),
                                 "\nState: ", StateText(viewer, experiment), "\n");
  if (!experiment.display_name().empty()) absl::StrAppend(&out, "Name: ", OneLine(experiment.display_name()), "\n");
  if (!experiment.description().empty())
    absl::StrAppend(&out, "Description: ", OneLine(experiment.description()), "\n");
  if (!experiment.labels().empty()) absl::StrAppend(&out, "Labels: ", Pairs(experiment.labels()), "\n");
  absl::StrAppend(&out, Timing(viewer, experiment));
  if (experiment.state() == v1::Experiment::FAILED) absl::StrAppend(&out, Ending(experiment));
  absl::StrAppend(&out, "Project: ", ProjectPart(experiment.project()), "\n");
  return out;
}

// "2 files changed", or no number when it is unknown.
std::string ChangesText(const v1::GitState& git) {
  if (git.changed_files() == 0) return "with changes that are not committed";
  return absl::StrCat(git.changed_files(), git.changed_files() == 1 ? " file" : " files", " changed");
}

// "Inputs: model=26.3 (project census), …".
std::string InputsLine(const Viewer& viewer, const v1::Experiment& experiment) {
  std::vector<std::string> inputs;
  for (const v1::Input& input : experiment.spec().inputs()) {
    inputs.push_back(absl::StrCat(OneLine(input.name()), "=", ShownId(input.experiment(), viewer.caller)));
    if (input.project() != experiment.project())
      absl::StrAppend(&inputs.back(), " (project ", ProjectPart(input.project()), ")");
  }
  return inputs.empty() ? "" : absl::StrCat("Inputs: ", absl::StrJoin(inputs, ", "), "\n");
}

bool AnyOf(const std::vector<ListedExperiment>& experiments, bool (*has)(const v1::Experiment&)) {
  return std::ranges::any_of(experiments, [has](const ListedExperiment& listed) { return has(listed.experiment); });
}

}  // namespace

std::string CodeLine(const v1::Experiment& experiment) {
  const std::size_t slash = experiment.revision().rfind('/');
  if (slash == std::string::npos) return "";
  std::string out = absl::StrCat("Code: ", OneLine(experiment.revision().substr(slash + 1, kShortCommit)));
  const v1::GitState& git = experiment.spec().git();
  if (!git.commit().empty()) {
    absl::StrAppend(&out, " (your commit ", OneLine(git.commit().substr(0, kShortCommit)),
                    git.branch().empty() ? "" : absl::StrCat(" on ", OneLine(git.branch())),
                    git.dirty() ? absl::StrCat(", ", ChangesText(git)) : "",
                    git.untracked() ? ", with files that git does not track" : "", ")");
  }
  return out + "\n";
}

std::string WaitsFor(const v1::Experiment& experiment) {
  for (const v1::Job& job : experiment.jobs()) {
    if (std::string wait = JobWait(job); !wait.empty()) return wait;
  }
  return "";
}

std::string ExperimentList(const Viewer& viewer, const std::vector<ListedExperiment>& experiments,
                           const ListColumns& columns) {
  std::vector<Column> header = {{"ID", 6}};
  if (columns.user) header.push_back({"USER", 6});
  const bool names = AnyOf(experiments, [](const auto& experiment) { return !experiment.display_name().empty(); });
  const bool labels =
      columns.long_form && AnyOf(experiments, [](const auto& experiment) { return !experiment.labels().empty(); });
  for (const Column& column : {Column{"PROJECT", 14}, {"STATE", 10}, {"AGE", 11}, {"TYPE", 15}})
    header.push_back(column);
  if (names) header.push_back({"NAME", 14});
  if (labels) header.push_back({"LABELS", 14});
  if (columns.long_form) {
    header.push_back({"DURATION", 10});
    header.push_back({"PARAMS", 14});
    header.push_back({"RESULT", 14});
  }
  std::vector<Cells> rows;
  const auto add = [&](const v1::Experiment& experiment, absl::string_view branch) {
    Cells cells = {absl::StrCat(branch, ShownId(experiment.name(), viewer.caller))};
    if (columns.user) cells.push_back(UserPart(experiment.name()));
    cells.push_back(ProjectPart(experiment.project()));
    cells.push_back(StateText(viewer, experiment));
    const bool child = !branch.empty();
    cells.push_back(Since(TimeOf(child ? experiment.start_time() : experiment.create_time()), viewer.now));
    cells.push_back(absl::StrCat(branch, TypeName(experiment)));
    if (names) cells.push_back(OneLine(experiment.display_name()));
    if (labels) cells.push_back(Pairs(experiment.labels()));
    if (columns.long_form) {
      cells.push_back(Lasted(viewer, experiment));
      cells.push_back(Pairs(experiment.parameters()));
      cells.push_back(Pairs(experiment.result()));
    }
    rows.push_back(std::move(cells));
  };
  std::string waits;
  for (const ListedExperiment& listed : experiments) {
    add(listed.experiment, "");
    for (std::size_t i = 0; i < listed.children.size(); ++i) {
      const bool last = i + 1 == listed.children.size();
      if (viewer.terminal.utf8) {
        add(listed.children[i], last ? "╰╴" : "├╴");
      } else {
        add(listed.children[i], last ? "`-" : "|-");
      }
    }
    if (!listed.waits_for.empty()) {
      absl::StrAppend(&waits, WaitLine(ShownId(listed.experiment.name(), viewer.caller), listed.waits_for));
    }
    absl::StrAppend(&waits, listed.backlog);
  }
  return absl::StrCat(Table(viewer.terminal, header, rows), waits.empty() ? "" : "\n", waits);
}

void SortByValue(const std::string& name, std::vector<v1::Experiment>& experiments) {
  // Numbers first, then texts, then experiments without such a value.
  const auto key = [&name](const v1::Experiment& experiment) {
    std::tuple<int, double, std::string> out = {2, 0, ""};
    const auto set_text = [&out](const std::string& text) {
      double number = 0;
      out = absl::SimpleAtod(text, &number) ? std::make_tuple(0, number, std::string()) : std::make_tuple(1, 0.0, text);
    };
    if (const auto result = experiment.result().fields().find(name); result != experiment.result().fields().end()) {
      if (result->second.has_number_value()) out = {0, result->second.number_value(), ""};
      if (result->second.has_string_value()) set_text(result->second.string_value());
      if (result->second.has_bool_value()) out = {1, 0, result->second.bool_value() ? "true" : "false"};
    } else if (const auto value = experiment.parameters().find(name); value != experiment.parameters().end()) {
      set_text(value->second);
    }
    return out;
  };
  std::ranges::stable_sort(experiments, {}, key);
}

// Lines for those scheduling settings that riseml.yml contains.
std::string SchedulingLines(const v1::TrainSpec& spec) {
  std::string out;
  if (!spec.queue().empty()) absl::StrAppend(&out, "Queue: ", OneLine(spec.queue()), "\n");
  if (spec.priority() != 0) absl::StrAppend(&out, "Priority: ", spec.priority(), "\n");
  if (!spec.node_selectors().empty()) absl::StrAppend(&out, "Node selector: ", Pairs(spec.node_selectors()), "\n");
  if (spec.has_max_run_time())
    absl::StrAppend(&out, "Longest run time: ", absl::FormatDuration(FromProtoDuration(spec.max_run_time())), "\n");
  if (spec.has_retries())
    absl::StrAppend(&out, "Retries: ", spec.retries().infrastructure(), " after infrastructure failures, ",
                    spec.retries().error(), " after failures of the job\n");
  return out;
}

std::string ExperimentDetails(const Viewer& viewer, const v1::Experiment& experiment) {
  const v1::TrainSpec& spec = experiment.spec();
  std::string out = Heading(viewer, experiment);
  absl::StrAppend(&out, Field("Image", OneLine(spec.image())));
  if (!spec.framework().empty()) {
    absl::StrAppend(&out, "Framework: ", OneLine(spec.framework()),
                    "\nFramework Config:\n  tensorboard: ", spec.tensorboard() ? "True" : "False", "\n");
    if (!spec.framework_version().empty())
      absl::StrAppend(&out, "  version: ", OneLine(spec.framework_version()), "\n");
  }
  if (spec.tensorboard()) absl::StrAppend(&out, "Tensorboard: OFFLINE\n");
  absl::StrAppend(&out, CommandLines(FilledCommands(experiment)), "Concurrency: ", std::max(1, spec.concurrency()),
                  "\n");
  absl::StrAppend(&out, Field("Parameters", Pairs(experiment.parameters())),
                  Field("Result", Pairs(experiment.result())));
  absl::StrAppend(&out, SchedulingLines(spec));
  absl::StrAppend(&out, CodeLine(experiment));
  absl::StrAppend(&out, InputsLine(viewer, experiment));
  if (experiment.has_environment()) absl::StrAppend(&out, EnvironmentLines(viewer, experiment.environment()));
  absl::StrAppend(&out, OutputLines(viewer, experiment));
  return absl::StrCat(out, "\n", JobTable(viewer, experiment.jobs()));
}

std::string SetDetails(const Viewer& viewer, const v1::Experiment& set, const std::vector<v1::Experiment>& children) {
  std::vector<Cells> rows;
  for (const v1::Experiment& child : children) {
    rows.push_back({ShownId(child.name(), viewer.caller), StateText(viewer, child), Started(viewer, child),
                    Lasted(viewer, child), Pairs(child.parameters()), Pairs(child.result())});
  }
  std::string out = Heading(viewer, set);
  if (set.spec().tensorboard()) absl::StrAppend(&out, "Tensorboard: OFFLINE\n");
  absl::StrAppend(&out, SchedulingLines(set.spec()), CodeLine(set), InputsLine(viewer, set));
  if (set.has_environment()) absl::StrAppend(&out, EnvironmentLines(viewer, set.environment()));
  absl::StrAppend(&out, OutputLines(viewer, set));
  absl::StrAppend(
      &out, "\n",
      Table(viewer.terminal,
            {{"EXP ID", 6}, {"STATE", 9}, {"STARTED", 11}, {"DURATION", 9}, {"PARAMS", 14}, {"RESULT", 14}}, rows));
  if (set.jobs_size() > 0) absl::StrAppend(&out, "\n", JobTable(viewer, set.jobs()));
  return out;
}

std::string JobDetails(const Viewer& viewer, const v1::Job& job) {
  std::string out = absl::StrCat("ID: ", ShownId(job.name(), viewer.caller),
                                 "\nType: Job\nState: ", ShownState(viewer.terminal, job.state()), "\n",
                                 Timing(viewer, job), Ending(job));
  if (job.has_exit_code()) absl::StrAppend(&out, "Exit Code: ", job.exit_code(), "\n");
  if (const std::string wait = JobWait(job); !wait.empty())
    absl::StrAppend(&out, "Waits: ", absl::StripPrefix(wait, "waits "), "\n");
  if (!job.node().empty()) absl::StrAppend(&out, "Node: ", OneLine(job.node()), "\n");
  // A single attempt that ended as its job did adds nothing.
  const bool others = std::ranges::any_of(job.attempts(), [&](const v1::Attempt& attempt) {
    return v1::Attempt::State_Name(attempt.state()) != StateName(job.state());
  });
  if (job.attempt_count() > 1 || others) absl::StrAppend(&out, AttemptLines(viewer, job));
  absl::StrAppend(&out, absl::StrFormat("Requested cpus: %s\nRequested mem: %s\nRequested gpus: %d\n",
                                        Cores(job.resources()), Megabytes(job.resources()), job.resources().gpus()));
  absl::StrAppend(&out, CommandLines(job.commands()), job.environment().empty() ? "" : "Environment:\n");
  std::vector<std::pair<std::string, std::string>> variables(job.environment().begin(), job.environment().end());
  std::sort(variables.begin(), variables.end());
  for (const auto& [name, value] : variables) absl::StrAppend(&out, "  ", OneLine(name), ": ", OneLine(value), "\n");
  for (const v1::Attempt& attempt : job.attempts()) absl::StrAppend(&out, LogLine(attempt));
  if (job.state() == v1::Job::FAILED) {
    absl::StrAppend(&out, Styled(viewer.terminal, Style::kRed, absl::StrCat("Failed: ", OneLine(job.reason()))), "\n");
  }
  return out;
}

}  // namespace riseml::cli
