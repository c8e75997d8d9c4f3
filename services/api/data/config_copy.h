// The configuration that is stored beside an experiment's output. Pure.
#pragma once

#include <string>

#include "riseml/v1/experiment.pb.h"
#include "services/api/data/experiment_spec.h"
#include "services/common/base/names.h"

namespace riseml::api {

struct ConfigCopy {
  const v1::TrainSpec& spec;
  ExperimentName experiment;
  std::string project;
  std::string commit;
  const Parameters& parameters;
};

// Returns a riseml.yml that runs exactly this experiment again; for a child of a set, with its values filled in.
// Comments at the top name the experiment, its revision and the user's own commit. Passwords in URLs are hidden; a
// comment says so.
std::string ConfigText(const ConfigCopy& copy);

}  // namespace riseml::api
