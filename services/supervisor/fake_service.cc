// Stands in for every service in the supervisor's tests: reads the real configuration, answers health checks, and
// misbehaves on demand. The name of the program selects the service; a file NAME.mode beside it selects the
// misbehaviour.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "riseml/config/v1/agent.pb.h"
#include "riseml/config/v1/api.pb.h"
#include "riseml/config/v1/builder.pb.h"
#include "riseml/config/v1/gitsync.pb.h"
#include "riseml/config/v1/loghandler.pb.h"
#include "riseml/config/v1/scheduler.pb.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/config/config.h"
#include "services/common/rpc/server.h"
#include "services/common/runtime/runtime.h"
#include "services/supervisor/install/ports.h"

namespace {

using riseml::rpc::ListenerKind;
using riseml::rpc::Server;

class Nobody final : public riseml::rpc::Authenticator {
 public:
  absl::StatusOr<riseml::internal::v1::Caller> Authenticate(absl::string_view) override {
    return riseml::Error(riseml::Reason::kUnauthenticated, "nobody is known here");
  }
};

absl::Status Listen(const riseml::config::v1::Listener& listener, ListenerKind kind, Nobody& nobody,
                    std::vector<std::unique_ptr<Server>>& servers) {
  riseml::rpc::ServerOptions options;
  options.kind = kind;
  options.listener = listener;
  options.authenticator = &nobody;
  RISEML_ASSIGN_OR_RETURN(std::unique_ptr<Server> server, Server::Start(options));
  servers.push_back(std::move(server));
  return absl::OkStatus();
}

// Answers every request of HTTP until it is destroyed, in place of the endpoint for tokens.
class TokenDouble {
 public:
  explicit TokenDouble(riseml::UniqueFd listener)
      : listener_(std::move(listener)), thread_([this](const std::stop_token& stop) { Serve(stop); }) {}

 private:
  void Serve(const std::stop_token& stop) const {
    constexpr char kAnswer[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    while (!stop.stop_requested()) {
      pollfd one = {listener_.get(), POLLIN, 0};
      if (poll(&one, 1, 20) != 1) continue;
      const riseml::UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      char request[4096];
      if (read(client.get(), request, sizeof request) > 0) riseml::WriteAll(client.get(), kAnswer).IgnoreError();
    }
  }

  const riseml::UniqueFd listener_;
  std::jthread thread_;
};

absl::StatusOr<std::unique_ptr<TokenDouble>> ServeTokens(const std::string& address) {
  int port = 0;
  if (!absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port))
    return absl::InvalidArgumentError("token_address has no port");
  RISEML_ASSIGN_OR_RETURN(riseml::UniqueFd listener, riseml::supervisor::ListenOn("builder.tokens", port));
  return std::make_unique<TokenDouble>(std::move(listener));
}

template <class Config>
absl::Status Serve(const std::string& file) {
  Config config;
  RISEML_RETURN_IF_ERROR(riseml::config::LoadConfig(file, &config));
  Nobody nobody;
  std::vector<std::unique_ptr<Server>> servers;
  if constexpr (requires { config.user_listener(); })
    RISEML_RETURN_IF_ERROR(Listen(config.user_listener(), ListenerKind::kUser, nobody, servers));
  if constexpr (requires { config.internal_listener(); })
    RISEML_RETURN_IF_ERROR(Listen(config.internal_listener(), ListenerKind::kInternal, nobody, servers));
  std::unique_ptr<TokenDouble> tokens;
  if constexpr (requires { config.images(); }) {
    if (config.has_images()) {
      RISEML_ASSIGN_OR_RETURN(tokens, ServeTokens(config.images().token_address()));
    }
  }
  riseml::runtime::WaitForSignal();
  for (const std::unique_ptr<Server>& server : servers) server->Shutdown(absl::Seconds(1));
  return absl::OkStatus();
}

// Makes the administrator and prints the key at the first call, as riseml-api does.
absl::Status Bootstrap(const std::string& file) {
  riseml::config::v1::ApiConfig config;
  RISEML_RETURN_IF_ERROR(riseml::config::LoadConfig(file, &config));
  const std::string marker = std::filesystem::path(config.token_key_file()).parent_path() / "administrator";
  if (riseml::FileExists(marker)) return absl::OkStatus();
  std::puts("rml_test_key");
  return riseml::WriteFileAtomically(marker, "", 0600);
}

absl::Status Run(const std::string& program, int argc, char** argv) {
  const std::string name = std::filesystem::path(program).filename();
  const std::string verb = argc > 2 && argv[1][0] != '-' ? argv[1] : "";
  const std::string file = argv[argc - 1];
  const std::string mode = riseml::ReadFile(program + ".mode", 100).value_or("");
  if (mode == "fail" || mode == "fail " + verb) return absl::InternalError("told to fail by the test");
  if (mode == "deaf") {
    riseml::runtime::WaitForSignal();
    return absl::OkStatus();
  }
  if (verb == "migrate") return absl::OkStatus();
  if (verb == "bootstrap") return Bootstrap(file);
  if (verb == "admin-key") {
    std::puts("rml_another_key");
    return absl::OkStatus();
  }
  if (name == "riseml-api") return Serve<riseml::config::v1::ApiConfig>(file);
  if (name == "riseml-gitsync") return Serve<riseml::config::v1::GitsyncConfig>(file);
  if (name == "riseml-builder") return Serve<riseml::config::v1::BuilderConfig>(file);
  if (name == "riseml-loghandler") return Serve<riseml::config::v1::LoghandlerConfig>(file);
  if (name == "riseml-scheduler") return Serve<riseml::config::v1::SchedulerConfig>(file);
  return Serve<riseml::config::v1::NodeConfig>(file);
}

}  // namespace

int main(int argc, char** argv) {
  return riseml::runtime::RunMain("fake", [&] { return Run(argv[0], argc, argv); });
}
