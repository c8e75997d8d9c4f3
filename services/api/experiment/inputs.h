// Resolves outputs of experiments that are inputs of other experiments.
#pragma once

#include <map>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/v1/experiment.pb.h"
#include "services/common/base/names.h"
#include "services/common/rpc/call.h"
#include "services/common/spec/spec.h"

namespace riseml::api {

// An experiment as `user` names it: "26.3", or ".paul.26.3" when it is somebody else's.
std::string IdFor(const std::string& user, const ExperimentName& name);

// Adds the inputs of a request (resource names by input) to those of the file. INVALID_ARGUMENT names the wrong one.
absl::Status AddInputs(const v1::CreateExperimentRequest& request, spec::Train* train);

// Finds the experiments that `inputs` name; an id without a user means `user`. NOT_FOUND for one that the caller may
// not read, FAILED_PRECONDITION (EXPERIMENT_RUNS) for one that has not ended. The experiments cannot be removed before
// the transaction has ended.
absl::StatusOr<std::vector<v1::Input>> ResolveInputs(pqxx::transaction_base& tx, const rpc::Call& call,
                                                     const std::string& user, const std::vector<spec::Input>& inputs);

// Records what an experiment reads.
void RecordInputs(pqxx::transaction_base& tx, const std::string& root_uid, const v1::TrainSpec& spec);

}  // namespace riseml::api
