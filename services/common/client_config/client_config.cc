#include "services/common/client_config/client_config.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
namespace {

constexpr std::int64_t kMaxConfigBytes = 1 << 20;

// Catches exceptions of yaml-cpp.
template <class Body>
auto Yaml(const std::string& path, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("client configuration ", path, ": line ", e.mark.line + 1, ": ",
                                                   e.msg,
                                                   "; mend the file, or move it away and run `riseml user login`"));
  }
}

std::string Text(const YAML::Node& map, const char* key) {
  if (!map.IsMap()) return "";
  const YAML::Node value = map[key];
  return value && value.IsScalar() ? value.Scalar() : "";
}

// The object below `kind` in the entry called `name` of the list `list`.
YAML::Node FindEntry(const YAML::Node& root, const char* list, const char* kind, const std::string& name) {
  const YAML::Node entries = root[list];
  if (entries && entries.IsSequence()) {
    for (const YAML::Node& entry : entries) {
      if (Text(entry, "name") != name) continue;
      const YAML::Node value = entry[kind];
      if (value && value.IsMap()) return value;
    }
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

void ReplaceEntry(YAML::Node root, const char* list, const char* kind, const std::string& name,
                  const YAML::Node& value) {
  YAML::Node entries(YAML::NodeType::Sequence);
  if (root[list] && root[list].IsSequence()) {
    for (const YAML::Node& entry : root[list]) {
      if (Text(entry, "name") != name) entries.push_back(entry);
    }
  }
  YAML::Node entry;
  entry["name"] = name;
  entry[kind] = value;
  entries.push_back(entry);
  root[list] = entries;
}

absl::Status CheckPrivate(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  if (!S_ISREG(info.st_mode) || (info.st_mode & 077) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("client configuration ", path, " holds an API key, but others may read it; run: chmod 600 ", path));
}

absl::StatusOr<std::string> Certificates(const std::string& path, const YAML::Node& cluster) {
  const std::string data = Text(cluster, "certificate-authority-data");
  if (!data.empty()) {
    if (absl::StrContains(data, "-----BEGIN")) return data;
    std::string decoded;
    if (absl::Base64Unescape(data, &decoded) && absl::StrContains(decoded, "-----BEGIN")) return decoded;
    return absl::InvalidArgumentError(
        absl::StrCat("client configuration ", path, ": certificate-authority-data must be a certificate in PEM form"));
  }
  const std::string file = Text(cluster, "ca-file");
  if (file.empty()) return std::string();
  const std::filesystem::path resolved = std::filesystem::path(path).parent_path() / file;
  auto pem = ReadFile(resolved.string(), kMaxConfigBytes);
  if (!pem.ok()) return While(absl::StrCat("read the ca-file named in ", path), pem.status());
  return pem;
}

absl::Status Missing(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("client configuration ", path, " has no ", what, "; run `riseml up` or `riseml user login`"));
}

absl::StatusOr<ClientConfig> Extract(const std::string& path, const YAML::Node& root, absl::string_view wanted) {
  if (!root.IsMap()) return Missing(path, "contexts");
  ClientConfig config;
  config.context = wanted.empty() ? Text(root, "current-context") : std::string(wanted);
  if (config.context.empty()) return Missing(path, "current-context");
  const YAML::Node context = FindEntry(root, "contexts", "context", config.context);
  if (!context.IsDefined()) return Missing(path, absl::StrCat("context '", config.context, "'"));
  const YAML::Node cluster = FindEntry(root, "clusters", "cluster", Text(context, "cluster"));
  if (!cluster.IsDefined()) return Missing(path, absl::StrCat("cluster '", Text(context, "cluster"), "'"));
  const YAML::Node user = FindEntry(root, "users", "user", Text(context, "user"));
  if (!user.IsDefined()) return Missing(path, absl::StrCat("user '", Text(context, "user"), "'"));
  config.cluster_id = Text(cluster, "cluster-id");
  config.api_address = Text(cluster, "api-address");
  config.user = Text(user, "name");
  config.api_key = Text(user, "api-key");
  if (config.api_address.empty()) {
    if (cluster["host"] || cluster["api-server"]) {
      return absl::FailedPreconditionError(
          absl::StrCat("client configuration ", path,
                       " was written by RiseML 1, which spoke another protocol; run `riseml user login`"));
    }
    return Missing(path, "api-address");
  }
  if (config.api_key.empty()) return Missing(path, "api-key");
  RISEML_ASSIGN_OR_RETURN(config.ca_pem, Certificates(path, cluster));
  if (config.ca_pem.empty()) return Missing(path, "certificate-authority-data or ca-file");
  return config;
}

YAML::Node Merged(YAML::Node root, const ClientConfig& config, CurrentContext current) {
  YAML::Node cluster;
  cluster["cluster-id"] = config.cluster_id;
  cluster["api-address"] = config.api_address;
  cluster["certificate-authority-data"] = config.ca_pem;
  YAML::Node user;
  user["name"] = config.user;
  user["api-key"] = config.api_key;
  YAML::Node context;
  context["cluster"] = config.context;
  context["user"] = config.context;
  context["environment"] = "production";
  if (current == CurrentContext::kSwitch || !root["current-context"]) root["current-context"] = config.context;
  ReplaceEntry(root, "contexts", "context", config.context, context);
  ReplaceEntry(root, "clusters", "cluster", config.context, cluster);
  ReplaceEntry(root, "users", "user", config.context, user);
  return root;
}

}  // namespace

absl::StatusOr<std::string> ClientConfigPath() {
  const char* named = getenv("RISEML_CONFIG");
  if (named != nullptr && *named != '\0') return std::string(named);
  const char* home = getenv("HOME");
  if (home == nullptr || *home == '\0') {
    return absl::FailedPreconditionError(
        "neither HOME nor RISEML_CONFIG is set, so the client configuration has no place");
  }
  return absl::StrCat(home, "/.riseml/config");
}

absl::StatusOr<ClientConfig> LoadClientConfig(const std::string& path, absl::string_view context) {
  auto text = ReadFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) {
    return Error(Reason::kNotFound, absl::StrCat("Client configuration file ", path, " not found"));
  }
  if (!text.ok()) return While("read the client configuration", text.status());
  RISEML_RETURN_IF_ERROR(CheckPrivate(path));
  return Yaml(path, [&]() -> absl::StatusOr<ClientConfig> { return Extract(path, YAML::Load(*text), context); });
}

absl::Status SaveClientConfig(const std::string& path, const ClientConfig& config, CurrentContext current) {
  std::string old_text;
  if (FileExists(path)) {
    RISEML_ASSIGN_OR_RETURN(old_text, ReadFile(path, kMaxConfigBytes));
  } else if (const std::string parent = std::filesystem::path(path).parent_path().string(); !parent.empty()) {
    RISEML_RETURN_IF_ERROR(MakeDirectories(parent, 0700));
  }
  auto text = Yaml(path, [&]() -> absl::StatusOr<std::string> {
    YAML::Node root = YAML::Load(old_text);
    if (!root.IsMap()) root = YAML::Node(YAML::NodeType::Map);
    YAML::Emitter out;
    out << Merged(root, config, current);
    return absl::StrCat(out.c_str(), "\n");
  });
  if (!text.ok()) return text.status();
  return While("write the client configuration", WriteFileAtomically(path, *text, 0600));
}

}  // namespace riseml
