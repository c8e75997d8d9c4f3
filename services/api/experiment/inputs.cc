#include "services/api/experiment/inputs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/api/data/states.h"
#include "services/api/data/views.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/names.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

// Keeps the experiment from being removed.
constexpr char kSelectInput[] = R"sql(
  SELECT e.state, u.name, p.name
  FROM experiments e
  JOIN users u ON u.uid = e.user_uid
  JOIN projects p ON p.uid = e.project_uid
  WHERE e.uid = $1
  FOR SHARE OF e
)sql";

absl::StatusOr<v1::Input> Resolve(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& user,
                                  const spec::Input& input) {
  // Requests use resource names, files use ids.
  auto name = ParseExperimentName(input.experiment);
  if (!name.ok()) name = ParseExperimentId(input.experiment, user);
  RISEML_RETURN_IF_ERROR(name.status());
  const auto key = FindExperiment(tx, call, Print(*name));
  if (absl::IsNotFound(key.status()))
    return Error(Reason::kNotFound, absl::StrCat("input ", input.name, ": experiment ", IdFor(user, *name),
                                                 " not found; `riseml status -a` lists yours"));
  RISEML_RETURN_IF_ERROR(key.status());
  const auto rows = sql::Query(tx, kSelectInput, key->uid);
  if (rows.empty()) return Error(Reason::kNotFound, absl::StrCat("input ", input.name, ": the experiment was deleted"));
  const pqxx::row row = rows[0];
  const ExperimentState state = ParseExperimentState(row[0].c_str());
  const std::string id = IdFor(user, key->name);
  if (!IsTerminal(state))
    return Error(Reason::kExperimentRuns,
                 absl::StrCat("input ", input.name, ": experiment ", id, " is ", Name(state),
                              " and still writes its output; wait for its end first: riseml wait ", id));
  v1::Input out;
  out.set_name(input.name);
  out.set_experiment(Print(key->name));
  out.set_uid(key->uid);
  out.set_project(Print(ProjectName{row[1].as<std::string>(), row[2].as<std::string>()}));
  return out;
}

}  // namespace

std::string IdFor(const std::string& user, const ExperimentName& name) {
  return name.user == user || !name.uid.empty() ? ShortId(name) : absl::StrCat(".", name.user, ".", ShortId(name));
}

absl::Status AddInputs(const v1::CreateExperimentRequest& request, spec::Train* train) {
  for (const auto& [name, experiment] : request.inputs()) {
    if (const absl::Status status = spec::CheckInputName(name); !status.ok())
      return InvalidField("inputs", absl::StrCat("'", name, "': ", status.message()));
    if (const auto parsed = ParseExperimentName(experiment); !parsed.ok())
      return InvalidField("inputs", absl::StrCat(name, ": ", parsed.status().message()));
    std::erase_if(train->inputs, [&name = name](const spec::Input& other) { return other.name == name; });
    for (const spec::Input& other : train->inputs)
      if (InputVariable(other.name) == InputVariable(name))
        return Error(Reason::kInvalidArgument, absl::StrCat("inputs: '", other.name, "' and '", name,
                                                            "' set the same variable ", InputVariable(name)));
    train->inputs.push_back({name, experiment});
  }
  std::ranges::sort(train->inputs, {}, &spec::Input::name);
  if (train->inputs.size() <= spec::kMostInputs) return absl::OkStatus();
  return Error(Reason::kInvalidArgument, absl::StrCat("inputs: at most ", spec::kMostInputs));
}

absl::StatusOr<std::vector<v1::Input>> ResolveInputs(pqxx::transaction_base& tx, const rpc::Call& call,
                                                     const std::string& user, const std::vector<spec::Input>& inputs) {
  std::vector<v1::Input> out;
  for (const spec::Input& input : inputs) {
    RISEML_ASSIGN_OR_RETURN(v1::Input resolved, Resolve(tx, call, user, input));
    out.push_back(std::move(resolved));
  }
  return out;
}

void RecordInputs(pqxx::transaction_base& tx, const std::string& root_uid, const v1::TrainSpec& spec) {
  for (const v1::Input& input : spec.inputs())
    sql::Query(tx, "INSERT INTO experiment_inputs (root_uid, name, input_uid) VALUES ($1, $2, $3)", root_uid,
               input.name(), input.uid());
}

}  // namespace riseml::api
