#include "cli/session.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/render/terminal.h"
#include "services/common/base/files/file.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/logtext/invisible.h"

namespace riseml::cli {

Session::Session(Globals globals)
    : globals_(std::move(globals)), out_(TerminalOf(STDOUT_FILENO)), err_(TerminalOf(STDERR_FILENO)) {}

void Session::Print(absl::string_view text) {
  if (!output_status_.ok() || text.empty()) return;
  output_status_ = While("write to standard output", WriteAll(STDOUT_FILENO, text));
}

void Session::Tell(absl::string_view text) const { (void)WriteAll(STDERR_FILENO, logtext::ShowInvisible(text)); }

absl::StatusOr<ClientConfig> Session::Config() const {
  RISEML_ASSIGN_OR_RETURN(const std::string path, ClientConfigPath());
  auto config = LoadClientConfig(path, globals_.context);
  if (absl::IsNotFound(config.status())) {
    return WithHint(config.status(),
                    "Start a local installation with `riseml up`, or log in to one with `riseml user login`.");
  }
  return config;
}

absl::StatusOr<Interrupts*> Session::Signals() {
  if (interrupts_ == nullptr) {
    RISEML_ASSIGN_OR_RETURN(interrupts_, Interrupts::Create());
  }
  return interrupts_.get();
}

absl::StatusOr<Connection*> Session::Connect() {
  if (connection_) return &*connection_;
  RISEML_ASSIGN_OR_RETURN(ClientConfig config, Config());
  RISEML_RETURN_IF_ERROR(Signals().status());
  if (config.user.empty()) {
    Connection first(config);
    RISEML_ASSIGN_OR_RETURN(const v1::User caller, first.Call<v1::User>([&](auto* context, auto* out) {
      return first.users().GetCaller(context, v1::GetCallerRequest(), out);
    }));
    RISEML_ASSIGN_OR_RETURN(UserName name, ParseUserName(caller.name()));
    config.user = std::move(name.user);
  }
  connection_.emplace(std::move(config));
  if (globals_.verbose) {
    RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo cluster, connection_->Cluster());
    Tell(absl::StrCat("api_url: ", connection_->config().api_address, "\nsync_url: ", cluster.gitsync_address(),
                      "\nstream_url: ", cluster.loghandler_address(), "\n"));
  }
  return &*connection_;
}

Viewer Session::viewer() const {
  return Viewer{.terminal = out_,
                .caller = connection_ ? connection_->caller() : "",
                .now = clock_.Now(),
                .may_read = [](const std::string& path) { return access(path.c_str(), R_OK) == 0 || errno != EACCES; }};
}

}  // namespace riseml::cli
