// The client's configuration file: kubeconfig-like YAML with contexts, clusters and users. Holds API keys.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml {

// One context of the file with its cluster and user.
struct ClientConfig {
  std::string context = "default";
  std::string cluster_id;
  std::string api_address;  // host:port
  std::string ca_pem;       // certificates that are trusted, and no others
  std::string user;         // name part, e.g. "paul"
  std::string api_key;      // a secret
};

// $RISEML_CONFIG, else $HOME/.riseml/config. Fails when neither variable is set.
absl::StatusOr<std::string> ClientConfigPath();

// Reads one context; an empty name means the current one. NOT_FOUND when the file does not exist; FAILED_PRECONDITION
// when others may read the file, or when it is of version 1 of the product.
absl::StatusOr<ClientConfig> LoadClientConfig(const std::string& path, absl::string_view context);

// Says whether a context that is written becomes the current one.
enum class CurrentContext { kSwitch, kKeep };

// Writes a context, its cluster and its user, all named `config.context`, and makes it the current one unless another
// one is to be kept; other entries stay. Atomic, mode 0600; the directory is made with mode 0700.
absl::Status SaveClientConfig(const std::string& path, const ClientConfig& config,
                              CurrentContext current = CurrentContext::kSwitch);

}  // namespace riseml
