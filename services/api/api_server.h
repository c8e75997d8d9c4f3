// The whole api service, which main runs and tests start in their own process.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "riseml/config/v1/api.pb.h"

namespace riseml::api {

// A running api. Stops when destroyed.
class ApiServer {
 public:
  // The configuration is complete (see LoadApiConfig) and the schema up to date. `version` is told to clients.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const config::v1::ApiConfig& config,
                                                          const std::string& version);
  ~ApiServer();

  int user_port() const;
  int internal_port() const;

 private:
  struct Parts;
  explicit ApiServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Reads a configuration file, fills in defaults and lists everything that is wrong with it.
absl::StatusOr<config::v1::ApiConfig> LoadApiConfig(const std::string& path);

}  // namespace riseml::api
