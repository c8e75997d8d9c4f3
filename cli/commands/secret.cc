#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/client/prompt.h"
#include "cli/commands/commands.h"
#include "cli/render/format.h"
#include "cli/render/json.h"
#include "cli/render/table.h"
#include "services/common/base/files/file.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/logtext/redact.h"
#include "services/common/spec/names.h"

namespace riseml::cli {
namespace {

constexpr std::size_t kLargestValue = 64 << 10;

struct SecretOptions {
  std::string name;
  std::string project;
  std::string file;
  bool json = false;
  bool quiet = false;
};

std::string Parent(const Connection& connection, const SecretOptions& options) {
  return options.project.empty() ? Print(UserName{connection.caller()})
                                 : Print(ProjectName{connection.caller(), options.project});
}

// Returns the value: from a file, typed at a terminal without echo, or all of standard input. Cuts off one line end at
// the end.
absl::StatusOr<std::string> ReadValue(Session& session, const SecretOptions& options) {
  std::string value;
  if (!options.file.empty()) {
    RISEML_ASSIGN_OR_RETURN(value, ReadFile(options.file, kLargestValue + 1));
    return value;
  }
  if (isatty(STDIN_FILENO) == 1) {
    session.Tell(absl::StrCat("Value of ", options.name, " (not shown): "));
    return ReadSecret();
  }
  char buffer[4096];
  for (ssize_t n = 0; value.size() <= kLargestValue && (n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0;)
    value.append(buffer, static_cast<std::size_t>(n));
  if (!value.empty() && value.back() == '\n') value.pop_back();
  if (value.empty())
    return absl::InvalidArgumentError(
        "standard input is empty; write the value to it, or name a file: riseml secret set NAME --file FILE");
  return value;
}

// Tells the user that the project does not exist. A secret may precede its project, but the name may be mistyped.
absl::Status TellUnknownProject(Session& session, Connection& connection, const std::string& project) {
  v1::GetProjectRequest request;
  request.set_name(Print(ProjectName{connection.caller(), project}));
  const auto found = connection.Call<v1::Project>(
      [&](auto* context, auto* out) { return connection.projects().GetProject(context, request, out); });
  if (!absl::IsNotFound(found.status())) return found.status();
  session.Tell(absl::StrCat("NOTE: you have no project ", project, " yet; the first `riseml train` makes it\n"));
  return absl::OkStatus();
}

absl::StatusOr<int> Set(Session& session, const SecretOptions& options) {
  RISEML_RETURN_IF_ERROR(While(options.name, spec::CheckVariableName(options.name)));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::SetSecretRequest request;
  request.set_parent(Parent(*connection, options));
  request.set_secret_id(options.name);
  RISEML_ASSIGN_OR_RETURN(*request.mutable_value(), ReadValue(session, options));
  if (request.value().empty() || request.value().size() > kLargestValue)
    return absl::InvalidArgumentError(absl::StrCat("the value of ", options.name, " must have 1 byte to 64 KiB"));
  if (request.value().size() < logtext::kShortestMasked) {
    session.Tell(absl::StrCat("WARNING: the value has less than ", logtext::kShortestMasked,
                              " bytes; it will not be hidden in logs\n"));
  }
  RISEML_ASSIGN_OR_RETURN(const v1::Secret secret, connection->Call<v1::Secret>([&](auto* context, auto* out) {
    return connection->secrets().SetSecret(context, request, out);
  }));
  if (!options.project.empty()) RISEML_RETURN_IF_ERROR(TellUnknownProject(session, *connection, options.project));
  session.Print(absl::StrCat("Secret ", options.name, " stored",
                             options.project.empty() ? "" : absl::StrCat(" for project ", options.project),
                             ". Jobs get it if their riseml.yml says: secrets: [", options.name, "]\n"));
  return kExitOk;
}

absl::StatusOr<int> List(Session& session, const SecretOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::ListSecretsRequest request;
  request.set_parent(Print(UserName{connection->caller()}));
  RISEML_ASSIGN_OR_RETURN(const v1::ListSecretsResponse found,
                          connection->Call<v1::ListSecretsResponse>([&](auto* context, auto* out) {
                            return connection->secrets().ListSecrets(context, request, out);
                          }));
  const std::vector<v1::Secret> secrets(found.secrets().begin(), found.secrets().end());
  if (options.json) {
    session.Print(JsonObject().Many("secrets", secrets).Text());
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::Secret& secret : secrets) {
    RISEML_ASSIGN_OR_RETURN(const SecretName name, ParseSecretName(secret.name()));
    if (options.quiet) session.Print(absl::StrCat(OneLine(name.secret), "\n"));
    rows.push_back({OneLine(name.secret), name.project.empty() ? "all" : OneLine(name.project),
                    UtcOrNever(secret.update_time()), UtcOrNever(secret.use_time())});
  }
  if (options.quiet) return kExitOk;
  if (rows.empty()) {
    session.Tell("No secrets are stored. Store one with: riseml secret set NAME\n");
    return kExitOk;
  }
  session.Print(Table(session.out(), {{"Name", 12}, {"Project", 8}, {"Set", 20}, {"Last use", 20}}, rows, 2));
  return kExitOk;
}

absl::StatusOr<int> Remove(Session& session, const SecretOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::DeleteSecretRequest request;
  request.set_name(Print(SecretName{connection->caller(), options.project, options.name}));
  const auto removed = connection->Call<google::protobuf::Empty>(
      [&](auto* context, auto* out) { return connection->secrets().DeleteSecret(context, request, out); });
  if (absl::IsNotFound(removed.status())) {
    return Error(Reason::kNotFound,
                 absl::StrCat("secret ", options.name, " is not set",
                              options.project.empty() ? "" : absl::StrCat(" for project ", options.project),
                              "; see: riseml secret list"));
  }
  RISEML_RETURN_IF_ERROR(removed.status());
  session.Print(absl::StrCat("Secret ", options.name, " deleted. Running jobs keep the value they have.\n"));
  return kExitOk;
}

}  // namespace

void AddSecret(cmdline::Command app, Plan& plan) {
  cmdline::Command group = AddCommand(app, "secret", "Keep values that jobs get and nobody sees",
                                      "  riseml secret set WANDB_API_KEY\n"
                                      "  riseml secret list");
  group.RequireCommand(/*optional=*/true);
  auto options = std::make_shared<SecretOptions>();
  cmdline::Command set =
      Runs(AddCommand(group, "set", "Store a secret, or replace it",
                      "  riseml secret set WANDB_API_KEY                 asks for the value\n"
                      "  pass show wandb | riseml secret set WANDB_API_KEY\n"
                      "  riseml secret set GCP_KEY --file key.json --project census\n\n"
                      "In riseml.yml:\n"
                      "  secrets: [WANDB_API_KEY]     the variable WANDB_API_KEY of the job is the value\n"
                      "  secrets: [GCP_KEY: file]     the variable GCP_KEY is the path of a file with the value"),
           plan, options, Set);
  cmdline::Command remove =
      Runs(AddCommand(group, "rm", "Delete a secret", "  riseml secret rm WANDB_API_KEY"), plan, options, Remove);
  for (cmdline::Command command : {set, remove}) {
    command.AddOption("name", options->name, "Name of the secret and of the job's variable").Required().Type("NAME");
    command.AddOption("--project", options->project, "For this project only; it wins over the one for all projects")
        .Type("PROJECT");
  }
  set.AddOption("--file", options->file, "File with the value; default: the terminal or standard input").Type("FILE");
  cmdline::Command list = Runs(AddCommand(group, "list", "List secrets, without their values", "  riseml secret list"),
                               plan, options, List);
  list.AddFlag("--json", options->json, "Print JSON");
  list.AddFlag("-q,--quiet", options->quiet, "Print names only");
}

}  // namespace riseml::cli
