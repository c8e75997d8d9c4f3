// Environments that are directories with a virtual environment of Python.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/builder/environment/backend.h"
#include "services/builder/environment/history.h"
#include "services/builder/environment/stored.h"
#include "services/common/base/python_versions.h"

namespace riseml::builder {

struct Installation {
  std::string environments_dir;
  std::string python;
  absl::StatusOr<std::string> python_version;
  std::string client_dir;
  std::string client_digest;
  std::vector<std::string> interpreter_dirs;  // further places of interpreters
};

class DirectoryBackend final : public EnvironmentBackend {
 public:
  explicit DirectoryBackend(Installation installation);

  // Removes the remains of interrupted removals, and the records of environments that were not used for long. Called
  // once, at the start.
  absl::Status Sweep(absl::Time now);

  absl::StatusOr<internal::v1::Environment> Resolve(const WantedEnvironment& wanted) override;
  absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest&) override {
    return absl::FailedPreconditionError("jobs of this installation are processes and have no images");
  }
  absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> List() override { return stored_.List(); }
  absl::Status Remove(const std::string& key) override { return stored_.Remove(key); }

 private:
  Inputs InputsOf(const WantedEnvironment& wanted, const Interpreter& interpreter) const;
  // Fills in an existing environment, and remembers it as the one that the project used last.
  void FillReady(const WantedEnvironment& wanted, const Inputs& inputs, internal::v1::Environment& environment);
  void FillMissing(const WantedEnvironment& wanted, Inputs inputs, internal::v1::Environment& environment);

  const Installation installation_;
  Interpreters interpreters_;
  StoredEnvironments stored_;
  History history_;
};

}  // namespace riseml::builder
