#include "services/supervisor/state.h"

#include <arpa/inet.h>
#include <google/protobuf/util/json_util.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/services.h"

namespace riseml::supervisor {
namespace {

constexpr int kPostgresPort = 5432;             // names the socket's file only
constexpr std::size_t kMaxSocketDirBytes = 90;  // a socket's path has 107 bytes at most

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A socket bound to the loopback port (0: one the system picks), or the error.
absl::StatusOr<UniqueFd> Bind(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "make a socket");
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = Loopback(port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd.get(), 1) != 0)
    return ErrnoError(errno, absl::StrCat("listen on 127.0.0.1:", port));
  return fd;
}

absl::StatusOr<int> PortOf(const UniqueFd& fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return ErrnoError(errno, "ask for a socket's port");
  return ntohs(address.sin_port);
}

// Inode of the socket that listens on a TCP port, from /proc/net/tcp or tcp6; empty when there is none.
std::string ListeningInode(const char* table, int port) {
  const absl::StatusOr<std::string> text = ReadFile(table, 16 << 20);
  if (!text.ok()) return "";
  const std::string suffix = absl::StrFormat(":%04X", port);
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() > 9 && fields[3] == "0A" && absl::EndsWith(fields[1], suffix)) return std::string(fields[9]);
  }
  return "";
}

// "process 123 (nginx)" where it can be seen, else "another program".
std::string OwnerOfPort(int port) {
  std::string inode = ListeningInode("/proc/net/tcp", port);
  if (inode.empty()) inode = ListeningInode("/proc/net/tcp6", port);
  const std::string wanted = absl::StrCat("socket:[", inode, "]");
  std::error_code error;
  for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
    if (inode.empty()) break;
    std::error_code unreadable;
    for (const auto& fd : std::filesystem::directory_iterator(process.path() / "fd", unreadable)) {
      if (std::filesystem::read_symlink(fd.path(), unreadable) != wanted) continue;
      const absl::StatusOr<std::string> name = ReadFile((process.path() / "comm").string(), 4096);
      return absl::StrCat("process ", process.path().filename().string(), " (",
                          name.ok() ? name->substr(0, name->find('\n')) : "?", ")");
    }
  }
  return "another program";
}

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
      absl::StrCat("the path ", own, " is too long for the database's socket, and no private directory can be made in ",
                   parents.front(), "; choose a --dir with a shorter path"));
}

absl::Status ChoosePorts(config::v1::SupervisorState* state) {
  std::vector<UniqueFd> held;  // until all are chosen, so that no port is given twice
  for (const ServiceInfo& service : kServices) {
    for (const ListenerInfo& listener : service.listeners) {
      const std::string name(listener.name);
      if (name.empty() || state->ports().count(name) > 0) continue;
      RISEML_ASSIGN_OR_RETURN(UniqueFd fd, Bind(0));
      RISEML_ASSIGN_OR_RETURN((*state->mutable_ports())[name], PortOf(fd));
      held.push_back(std::move(fd));
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

std::string AddressOf(const config::v1::SupervisorState& state, absl::string_view listener) {
  const auto it = state.ports().find(std::string(listener));
  return it == state.ports().end() ? "" : absl::StrCat("127.0.0.1:", it->second);
}

absl::Status CheckPortFree(const std::string& listener, int port) {
  const absl::StatusOr<UniqueFd> fd = Bind(port);
  if (fd.ok()) return absl::OkStatus();
  return Error(
      Reason::kUnavailable,
      absl::StrCat(
          "port ", port, " of ", listener, " is taken by ", OwnerOfPort(port),
          "; stop that program and run `riseml up` again. Ports are kept because running jobs use them: when no job "
          "runs, removing the line \"",
          listener, "\" from supervisor.json chooses a new one"));
}

}  // namespace riseml::supervisor
