#include "services/supervisor/install/client_context.h"

#include <unistd.h>

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/client_config/client_config.h"
#include "services/supervisor/install/state.h"

namespace riseml::supervisor {
namespace {

constexpr char kAdministrator[] = "admin";

// Names that a context of this installation may have, best first.
std::vector<std::string> ContextNames(const config::v1::SupervisorState& state) {
  return {"default", "local", absl::StrCat("local-", state.cluster_id().substr(0, 8))};
}

// The context of this installation, if the file has one.
std::optional<riseml::ClientConfig> FindContext(const std::string& path, const config::v1::SupervisorState& state) {
  std::vector<std::string> names = ContextNames(state);
  names.insert(names.begin(), "");  // the current one
  for (const std::string& name : names) {
    absl::StatusOr<riseml::ClientConfig> found = LoadClientConfig(path, name);
    if (found.ok() && found->cluster_id == state.cluster_id()) return *std::move(found);
  }
  return std::nullopt;
}

// Returns the first name that no other installation has. The last name contains the id of this installation, so it is
// unique.
std::string FreeName(const std::string& path, const config::v1::SupervisorState& state) {
  const std::vector<std::string> names = ContextNames(state);
  for (const std::string& name : names) {
    const absl::StatusOr<riseml::ClientConfig> found = LoadClientConfig(path, name);
    const bool free = !found.ok() && !absl::IsFailedPrecondition(found.status());
    if (free || (found.ok() && found->cluster_id == state.cluster_id())) return name;
  }
  return names.back();
}

// Returns a sentence if `riseml` without --context uses another installation than the one of `known`; otherwise empty.
std::string OtherCurrent(const std::string& path, const riseml::ClientConfig& known) {
  const absl::StatusOr<riseml::ClientConfig> current = LoadClientConfig(path, "");
  if (!current.ok() || current->context == known.context) return "";
  return absl::StrCat("The current context in ", path, " is ", current->context,
                      ", another installation: write riseml --context ", known.context, " to use this one.");
}

absl::StatusOr<std::string> StoreKey(const Layout& layout, const std::string& path, riseml::ClientConfig config,
                                     const std::string& key, const config::v1::SupervisorState& state) {
  const absl::StatusOr<riseml::ClientConfig> current = LoadClientConfig(path, "");
  config.context = FreeName(path, state);
  config.user = kAdministrator;
  config.api_key = key;
  const absl::Status saved = SaveClientConfig(path, config);
  if (!saved.ok())
    return absl::Status(saved.code(), absl::StrCat(saved.message(), "; the administrator's API key waits in ",
                                                   layout.PendingKey(), ": mend this and run `riseml up` again"));
  if (unlink(layout.PendingKey().c_str()) != 0) return ErrnoError(errno, absl::StrCat("remove ", layout.PendingKey()));
  std::string sentence =
      absl::StrCat("Logged in as ", kAdministrator, " (context ", config.context, " in ", path, ").");
  if (current.ok() && current->context != config.context)
    absl::StrAppend(&sentence, " It is the current context now; before it was ", current->context, ".");
  return sentence;
}

}  // namespace

absl::StatusOr<std::string> UpdateClientContext(const Layout& layout, const config::v1::SupervisorState& state) {
  RISEML_ASSIGN_OR_RETURN(const std::string path, ClientConfigPath());
  riseml::ClientConfig config;
  config.cluster_id = state.cluster_id();
  config.api_address = AddressOf(state, "api.user");
  RISEML_ASSIGN_OR_RETURN(config.ca_pem, ReadFile(layout.Certs() + "/ca.crt", 1 << 20));

  const absl::StatusOr<std::string> key = ReadFile(layout.PendingKey(), 4096);
  if (key.ok()) return StoreKey(layout, path, config, std::string(absl::StripAsciiWhitespace(*key)), state);

  std::optional<riseml::ClientConfig> known = FindContext(path, state);
  if (!known.has_value())
    return absl::StrCat(
        "The client configuration ", path,
        " has no key for this installation. Log in with `riseml user login`, or, if the installation is "
        "yours and its administrator's key is lost, run `riseml-supervisor admin-key --dir ",
        layout.dir, "`.");
  if (known->api_address != config.api_address || known->ca_pem != config.ca_pem) {
    known->api_address = config.api_address;
    known->ca_pem = config.ca_pem;
    RISEML_RETURN_IF_ERROR(SaveClientConfig(path, *known, CurrentContext::kKeep));
  }
  return OtherCurrent(path, *known);
}

}  // namespace riseml::supervisor
