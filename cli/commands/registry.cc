#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/prompt.h"
#include "cli/commands/commands.h"
#include "cli/render/format.h"
#include "cli/render/json.h"
#include "cli/render/table.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/utf8.h"

namespace riseml::cli {
namespace {

constexpr std::size_t kLongestLine = 4096;  // of ReadSecret

struct RegistryOptions {
  std::string host;
  std::string username;
  bool for_all = false;
  bool json = false;
};

std::string Owner(const Connection& connection, const RegistryOptions& options) {
  return options.for_all ? "" : Print(UserName{connection.caller()});
}

std::string NameOf(const Connection& connection, const RegistryOptions& options) {
  const std::string owner = Owner(connection, options);
  return absl::StrCat(owner, owner.empty() ? "" : "/", "registries/", options.host);
}

// Refuses what no registry can take.
absl::Status CheckCredential(const v1::SetRegistryCredentialRequest& request) {
  if (absl::StrContains(request.username(), ':'))
    return absl::InvalidArgumentError("the user of a registry has no ':' in its name");
  for (const std::string* value : {&request.username(), &request.password()})
    if (!IsValidUtf8(*value)) return absl::InvalidArgumentError("user and password must be UTF-8");
  if (request.password().size() >= kLongestLine)
    return absl::InvalidArgumentError(absl::StrCat("a password has less than ", kLongestLine, " bytes"));
  return absl::OkStatus();
}

// Returns a line of standard input; asks for it at a terminal.
absl::StatusOr<std::string> Ask(Session& session, const std::string& question, bool hidden) {
  if (isatty(STDIN_FILENO) == 1) session.Tell(question);
  return hidden ? ReadSecret() : ReadLine();
}

absl::StatusOr<int> Login(Session& session, const RegistryOptions& options) {
  if (absl::StrContains(options.host, "/"))
    return absl::InvalidArgumentError(absl::StrCat(
        options.host,
        " is not the name of a registry: write it as names of images begin, e.g. ghcr.io or registry.lan:5000"));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::SetRegistryCredentialRequest request;
  request.set_parent(Owner(*connection, options));
  request.set_host(options.host);
  request.set_username(options.username);
  if (options.username.empty()) {
    RISEML_ASSIGN_OR_RETURN(*request.mutable_username(),
                            Ask(session, absl::StrCat("User in ", options.host, ": "), /*hidden=*/false));
  }
  absl::StatusOr<std::string> password =
      Ask(session, absl::StrCat("Password or token of ", request.username(), " (not shown): "), /*hidden=*/true);
  if (!password.ok() && options.username.empty() && isatty(STDIN_FILENO) != 1)
    return absl::InvalidArgumentError(
        "standard input has one line only; give the user with -u USER, or write user and password on two lines");
  RISEML_RETURN_IF_ERROR(password.status());
  request.set_password(*std::move(password));
  RISEML_RETURN_IF_ERROR(CheckCredential(request));
  RISEML_RETURN_IF_ERROR(connection
                             ->Call<v1::RegistryCredential>([&](auto* context, auto* out) {
                               return connection->registries().SetRegistryCredential(context, request, out);
                             })
                             .status());
  session.Print(absl::StrCat("Credential for ", OneLine(options.host), " stored",
                             options.for_all ? " for all users" : "", ". Base images of ", OneLine(options.host),
                             " are read with it; nothing has been tried yet.\n"));
  return kExitOk;
}

absl::StatusOr<int> Logout(Session& session, const RegistryOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::DeleteRegistryCredentialRequest request;
  request.set_name(NameOf(*connection, options));
  const auto removed = connection->Call<google::protobuf::Empty>([&](auto* context, auto* out) {
    return connection->registries().DeleteRegistryCredential(context, request, out);
  });
  if (absl::IsNotFound(removed.status()))
    return Error(Reason::kNotFound,
                 absl::StrCat("there is no credential for ", options.host, options.for_all ? " for all users" : "",
                              "; see: riseml registry list"));
  RISEML_RETURN_IF_ERROR(removed.status());
  session.Print(absl::StrCat("Credential for ", OneLine(options.host), " deleted. Running builds keep it.\n"));
  return kExitOk;
}

absl::StatusOr<int> List(Session& session, const RegistryOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::ListRegistryCredentialsRequest request;
  request.set_parent(Print(UserName{connection->caller()}));
  RISEML_ASSIGN_OR_RETURN(const v1::ListRegistryCredentialsResponse found,
                          connection->Call<v1::ListRegistryCredentialsResponse>([&](auto* context, auto* out) {
                            return connection->registries().ListRegistryCredentials(context, request, out);
                          }));
  const std::vector<v1::RegistryCredential> credentials(found.credentials().begin(), found.credentials().end());
  if (options.json) {
    session.Print(JsonObject().Many("credentials", credentials).Text());
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::RegistryCredential& one : credentials) {
    const bool shared = absl::StartsWith(one.name(), "registries/");
    rows.push_back({OneLine(one.name().substr(one.name().rfind('/') + 1)), OneLine(one.username()),
                    shared ? "all users" : "you", UtcOrNever(one.update_time())});
  }
  if (rows.empty()) {
    session.Tell("No credentials for registries are stored. Store one with: riseml registry login HOST\n");
    return kExitOk;
  }
  session.Print(Table(session.out(), {{"Registry", 20}, {"User", 12}, {"For", 10}, {"Set", 20}}, rows, 1));
  return kExitOk;
}

}  // namespace

void AddRegistry(cmdline::Command app, Plan& plan) {
  cmdline::Command group = AddCommand(app, "registry", "Keep credentials for registries of private base images",
                                      "  riseml registry login ghcr.io\n"
                                      "  riseml registry list");
  group.RequireCommand(/*optional=*/true);
  auto options = std::make_shared<RegistryOptions>();
  cmdline::Command login =
      Runs(AddCommand(group, "login", "Store the credential for a registry, or replace it",
                      "  riseml registry login ghcr.io                     asks for user and password\n"
                      "  riseml registry login docker.io -u robot < token  reads the password from a file\n"
                      "  riseml registry login registry.lan:5000 --all-users"),
           plan, options, Login);
  cmdline::Command logout =
      Runs(AddCommand(group, "logout", "Delete the credential for a registry", "  riseml registry logout ghcr.io"),
           plan, options, Logout);
  login.AddOption("-u,--username", options->username, "User in the registry; default: asks").Type("USER");
  for (cmdline::Command command : {login, logout}) {
    command.AddOption("host", options->host, "Registry as images name it, e.g. docker.io or registry.lan:5000")
        .Required()
        .Type("HOST");
    command.AddFlag("--all-users", options->for_all, "For all users; only administrators may do that");
  }
  cmdline::Command list = Runs(
      AddCommand(group, "list", "List credentials, without passwords", "  riseml registry list"), plan, options, List);
  list.AddFlag("--json", options->json, "Print JSON");
}

}  // namespace riseml::cli
