// The start of a job in a container: what the image holds, from its publisher and from install steps, is made usable
// for the commands. Nothing here ends a job; what cannot be done is left out.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/map.h"
#include "riseml/internal/v1/attempt_files.pb.h"

namespace riseml::agent {

// Does all of the following with the home directory of root in the image.
void SetUpImage(internal::v1::RunPlan* plan);

// If install steps have made a virtual environment in the working directory, activates it: sets VIRTUAL_ENV and puts
// its programs first in PATH. That is `.venv`, else the only one at the top. An image that sets VIRTUAL_ENV is left
// alone.
void ActivateEnvironment(const std::string& work_dir, google::protobuf::Map<std::string, std::string>* variables);

// Links what lies in the home directory of the image into that of the job, but for names that are there, and for
// caches.
void LinkHome(const std::string& image_home, const std::string& home);

// Writes a start-up file riseml.pth that names `directory` into the site-packages (or dist-packages) of every Python 3
// that `path`, a value of PATH, names as `python3` or `python`. PYTHONPATH and -I do not change what it does. A file of
// this name stays as it is.
void ShowPackageToPythons(absl::string_view path, const std::string& directory);

}  // namespace riseml::agent
