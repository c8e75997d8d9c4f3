// The base image of a train section that names none.
#pragma once

#include <string>

#include "services/common/spec/spec.h"

namespace riseml::spec {

// "tensorflow/tensorflow:<version>", with Horovod "riseml/tensorflow:<version>-horovod-<version>"; "-gpu" behind it
// when any job asks for GPUs. Needs `train.tensorflow`.
std::string DerivedImage(const Train& train);

}  // namespace riseml::spec
