#include "services/supervisor/install/state.h"

#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/ports.h"
#include "services/supervisor/install/services.h"

namespace riseml::supervisor {
namespace {

constexpr int kPostgresPort = 5432;  // used only in the name of the socket's file
// A socket's path has at most 107 bytes. Names have up to 19 bytes, and HAProxy adds temporary ones such as
// edge.calls.PID.tmp.
constexpr std::size_t kMaxSocketDirBytes = 85;

bool IsPrivateDirectory(const std::string& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
         (info.st_mode & 077) == 0;
}

absl::StatusOr<std::string> ChooseSocketDir(const Layout& layout, const std::string& recorded) {
  const std::string own = layout.In("run");
  if (own.size() <= kMaxSocketDirBytes) return own;
  if (!recorded.empty() && recorded.size() <= kMaxSocketDirBytes && IsPrivateDirectory(recorded)) return recorded;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  std::vector<std::string> parents;
  if (runtime != nullptr && runtime[0] == '/') parents.push_back(runtime);
  parents.push_back("/tmp");
  const std::string hash = absl::StrFormat("%08x", Crc32c(layout.home));
  for (const std::string& parent : parents) {
    const std::string path = absl::StrCat(parent, "/riseml-", geteuid(), "-", hash);
    if (path.size() > kMaxSocketDirBytes) continue;
    if (mkdir(path.c_str(), 0700) == 0 || (errno == EEXIST && IsPrivateDirectory(path))) return path;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the path ", own, " is too long for sockets, and no private directory can be made in ",
                   parents.front(), "; choose a --dir with a shorter path"));
}

absl::Status ChoosePorts(config::v1::SupervisorState* state) {
  std::vector<PickedPort> picked;  // held until all are chosen, so that no port is given twice
  for (const ListenerInfo& listener : AllListeners()) {
    const std::string name(listener.name);
    if (!HasPort(listener.role)) {
      state->mutable_ports()->erase(name);  // from a version that gave it a port
    } else if (state->ports().count(name) == 0 && (listener.role != ListenerRole::kImages || state->podman())) {
      RISEML_ASSIGN_OR_RETURN(PickedPort port, PickPort());
      (*state->mutable_ports())[name] = port.port;
      picked.push_back(std::move(port));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<config::v1::SupervisorState> LoadState(const Layout& layout) {
  RISEML_ASSIGN_OR_RETURN(const std::string json, ReadFile(layout.State(), 1 << 20));
  config::v1::SupervisorState state;
  if (!google::protobuf::util::JsonStringToMessage(json, &state).ok())
    return absl::DataLossError(absl::StrCat(layout.State(), " is damaged; restore it from a backup"));
  return state;
}

absl::Status SaveState(const Layout& layout, const config::v1::SupervisorState& state) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(state, &json, options).ok())
    return absl::InternalError("the supervisor's state cannot be printed");
  return WriteFileAtomically(layout.State(), json, 0600);
}

absl::Status CompleteState(const Layout& layout, config::v1::SupervisorState* state) {
  if (state->cluster_id().empty()) state->set_cluster_id(NewUuid());
  if (state->postgres_port() == 0) state->set_postgres_port(kPostgresPort);
  RISEML_ASSIGN_OR_RETURN(*state->mutable_postgres_socket_dir(), ChooseSocketDir(layout, state->postgres_socket_dir()));
  return While("choose ports", ChoosePorts(state));
}

std::string SocketAddressOf(const config::v1::SupervisorState& state, absl::string_view listener) {
  return absl::StrCat("unix:", state.postgres_socket_dir(), "/", listener);
}

int PortOf(const config::v1::SupervisorState& state, absl::string_view listener) {
  const auto port = state.ports().find(std::string(listener));
  return port == state.ports().end() ? 0 : port->second;
}

std::string AddressOf(const config::v1::SupervisorState& state, absl::string_view listener) {
  const int port = PortOf(state, listener);
  return port == 0 ? "" : absl::StrCat("127.0.0.1:", port);
}

}  // namespace riseml::supervisor
