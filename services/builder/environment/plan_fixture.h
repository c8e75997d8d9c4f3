// Inputs of an environment, for tests.
#pragma once

#include <string>

#include "services/builder/environment/plan.h"

namespace riseml::builder {

// Inputs of two install steps, the first of which reads requirements.txt.
inline Inputs ExampleInputs() {
  Inputs inputs;
  inputs.owner_uid = "11111111-1111-4111-8111-111111111111";
  inputs.python = "/usr/bin/python3";
  inputs.python_version = "cpython 3.11.2 x86_64";
  inputs.install = {"pip install -r requirements.txt", "pip install numpy"};
  inputs.code.ids = {{"requirements.txt", std::string(40, 'a')}};
  return inputs;
}

}  // namespace riseml::builder
