#include "cli/commands/login.h"

#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/prompt.h"
#include "services/common/base/files/file.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kMaxFileBytes = 1 << 20;

struct LoginOptions {
  std::string api_host;
  std::string ca_file;
  std::string api_key;
  std::string api_key_file;
};

absl::Status Unchanged(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(why, "; the configuration is unchanged"));
}

absl::StatusOr<std::string> Address(Session& session, const LoginOptions& options, const ClientConfig& old) {
  std::string address = options.api_host;
  if (address.empty() && isatty(STDIN_FILENO) == 1) {
    session.Tell(
        absl::StrCat("API host", old.api_address.empty() ? "" : absl::StrCat(" [", old.api_address, "]"), ": "));
    RISEML_ASSIGN_OR_RETURN(const std::string line, ReadLine());
    address = std::string(absl::StripAsciiWhitespace(line));
  }
  if (address.empty()) address = old.api_address;
  if (address.empty()) return Unchanged("No API host is known; give --api-host HOST:PORT");
  if (!absl::StrContains(address, ":")) return Unchanged(absl::StrCat("'", address, "' must have the form HOST:PORT"));
  return address;
}

absl::StatusOr<std::string> Key(Session& session, const LoginOptions& options) {
  std::string key = options.api_key;
  if (!options.api_key_file.empty()) {
    RISEML_ASSIGN_OR_RETURN(key, ReadFile(options.api_key_file, kMaxFileBytes));
  } else if (key.empty()) {
    if (isatty(STDIN_FILENO) == 1) session.Tell("API key: ");
    RISEML_ASSIGN_OR_RETURN(key, ReadSecret());
  }
  key = std::string(absl::StripAsciiWhitespace(key));
  if (key.empty()) return Unchanged("No API key was given; write it to standard input, or give --api-key-file FILE");
  return key;
}

absl::StatusOr<int> Login(Session& session, const LoginOptions& options) {
  RISEML_ASSIGN_OR_RETURN(const std::string path, ClientConfigPath());
  // The existing configuration may be of another version or broken; it is about to be replaced.
  const ClientConfig old = LoadClientConfig(path, session.globals().context).value_or(ClientConfig());
  ClientConfig config;
  config.context = !session.globals().context.empty() ? session.globals().context : old.context;
  RISEML_ASSIGN_OR_RETURN(config.api_address, Address(session, options, old));
  if (!options.ca_file.empty()) {
    RISEML_ASSIGN_OR_RETURN(config.ca_pem, ReadFile(options.ca_file, kMaxFileBytes));
    if (!absl::StrContains(config.ca_pem, "-----BEGIN CERTIFICATE-----"))
      return Unchanged(absl::StrCat(options.ca_file, " holds no certificate in PEM form"));
  } else {
    config.ca_pem = old.ca_pem;
  }
  if (config.ca_pem.empty()) {
    return Unchanged(
        "The certificate authority of the installation is not known: give --ca-file FILE; your administrator has "
        "it");
  }
  RISEML_ASSIGN_OR_RETURN(config.api_key, Key(session, options));
  RISEML_RETURN_IF_ERROR(session.Signals().status());
  session.Tell(absl::StrCat("Trying to login to ", config.api_address, "... "));
  Connection connection(config);
  const auto caller = connection.Call<v1::User>(
      [&](auto* context, auto* out) { return connection.users().GetCaller(context, v1::GetCallerRequest(), out); });
  const auto cluster = caller.ok() ? connection.Cluster() : caller.status();
  session.Tell(cluster.ok() ? "Success!\n" : "\n");
  if (absl::IsUnauthenticated(caller.status())) {
    return Unchanged(absl::StrCat("You are not authorized! ", config.api_address, " does not know this API key"));
  }
  RISEML_RETURN_IF_ERROR(WithHint(cluster.status(), "The configuration is unchanged."));
  RISEML_ASSIGN_OR_RETURN(const UserName name, ParseUserName(caller->name()));
  config.user = name.user;
  config.cluster_id = cluster->cluster_id();
  RISEML_RETURN_IF_ERROR(SaveClientConfig(path, config));
  session.Print("Login succeeded, config updated.\n");
  return kExitOk;
}

}  // namespace

void AddLogin(cmdline::Command group, Plan& plan) {
  cmdline::Command command = AddCommand(group, "login", "Log in to an installation and store it in the configuration",
                                        "  riseml user login --api-host train.example.org:7070 --ca-file ca.crt\n"
                                        "  riseml user login --api-key-file key.txt    with the host used before\n"
                                        "  pass show riseml | riseml user login");
  auto options = std::make_shared<LoginOptions>();
  command.AddOption("--api-host,--host", options->api_host, "Address of the API; default: the one used before")
      .Type("HOST:PORT");
  command
      .AddOption("--ca-file", options->ca_file,
                 "Certificate authority of the installation; default: the one used before")
      .Type("FILE");
  const cmdline::Option key =
      command.AddOption("--api-key", options->api_key, "API key; better: --api-key-file, or standard input")
          .Type("KEY");
  command.AddOption("--api-key-file", options->api_key_file, "File with the API key").Type("FILE").Excludes(key);
  Runs(command, plan, options, Login);
}

}  // namespace riseml::cli
