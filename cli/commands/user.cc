#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/prompt.h"
#include "cli/commands/commands.h"
#include "cli/commands/login.h"
#include "cli/render/format.h"
#include "cli/render/json.h"
#include "cli/render/table.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

const std::map<std::string, v1::User::Role> kRoles = {
    {"viewer", v1::User::VIEWER}, {"user", v1::User::USER}, {"admin", v1::User::ADMIN}};

struct UserOptions {
  std::string username;
  std::string email;
  v1::User::Role role = v1::User::ROLE_UNSPECIFIED;
  bool json = false;
  bool quiet = false;
  bool yes = false;
};

std::string NamePart(const v1::User& user) {
  const auto name = ParseUserName(user.name());
  return name.ok() ? name->user : OneLine(user.name());
}

std::string RoleName(v1::User::Role role) { return absl::AsciiStrToLower(v1::User::Role_Name(role)); }

absl::Status CheckUsername(const std::string& username) {
  if (IsValidUserPart(username)) return absl::OkStatus();
  return Error(Reason::kInvalidName,
               absl::StrCat("'", username, "' is no user name: 2 to 39 letters, digits and inner hyphens are allowed"));
}

absl::Status CheckEmail(const std::string& email) {
  if (email.empty() || absl::StrContains(email, "@")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("'", email, "' is no email address: it has no @"));
}

absl::Status NotFoundAs(const absl::Status& status, const std::string& username) {
  return absl::IsNotFound(status) ? Error(Reason::kNotFound, absl::StrCat("User ", username, " not found.")) : status;
}

absl::StatusOr<int> Create(Session& session, const UserOptions& options) {
  RISEML_RETURN_IF_ERROR(CheckUsername(options.username));
  RISEML_RETURN_IF_ERROR(CheckEmail(options.email));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::CreateUserRequest request;
  request.set_user_id(options.username);
  request.set_email(options.email);
  request.set_role(options.role);
  request.set_request_id(NewUuid());
  RISEML_ASSIGN_OR_RETURN(const v1::CreateUserResponse created,
                          connection->Call<v1::CreateUserResponse>([&](auto* context, auto* out) {
                            return connection->users().CreateUser(context, request, out);
                          }));
  session.Print(absl::StrCat("Created user ", options.username, "\n email: ", OneLine(created.user().email()), "\n"));
  if (created.api_key().empty()) {
    // The first answer was lost on the way, and a key is told only once.
    session.Print(
        absl::StrCat(" api_key: not known here; make a new one: riseml user rotate-key ", options.username, "\n"));
  } else {
    session.Print(absl::StrCat(" api_key: ", OneLine(created.api_key()), "\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> Update(Session& session, const UserOptions& options) {
  RISEML_RETURN_IF_ERROR(CheckUsername(options.username));
  RISEML_RETURN_IF_ERROR(CheckEmail(options.email));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::UpdateUserRequest request;
  request.set_name(Print(UserName{options.username}));
  request.set_email(options.email);
  request.set_role(options.role);
  const auto updated = connection->Call<v1::User>(
      [&](auto* context, auto* out) { return connection->users().UpdateUser(context, request, out); });
  if (!updated.ok()) return NotFoundAs(updated.status(), options.username);
  session.Print(absl::StrCat("Updated user ", options.username, "\n email: ", OneLine(updated->email()), "\n"));
  if (options.role != v1::User::ROLE_UNSPECIFIED)
    session.Print(absl::StrCat(" role: ", RoleName(updated->role()), "\n"));
  return kExitOk;
}

absl::StatusOr<int> Disable(Session& session, const UserOptions& options) {
  RISEML_RETURN_IF_ERROR(CheckUsername(options.username));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  if (!options.yes) {
    session.Print(absl::StrCat("Disable user ", options.username, "? [y/n] "));
    const auto answer = ReadLine();
    if (!answer || absl::AsciiStrToLower(*answer) != "y") return kExitOk;
  }
  v1::DisableUserRequest request;
  request.set_name(Print(UserName{options.username}));
  const auto disabled = connection->Call<v1::User>(
      [&](auto* context, auto* out) { return connection->users().DisableUser(context, request, out); });
  if (!disabled.ok()) return NotFoundAs(disabled.status(), options.username);
  session.Print(absl::StrCat("User ", options.username, " disabled.\n"));
  return kExitOk;
}

absl::StatusOr<int> List(Session& session, const UserOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  std::vector<v1::User> users;
  v1::ListUsersRequest request;
  request.set_page_size(500);
  do {
    RISEML_ASSIGN_OR_RETURN(v1::ListUsersResponse page,
                            connection->Call<v1::ListUsersResponse>([&](auto* context, auto* out) {
                              return connection->users().ListUsers(context, request, out);
                            }));
    for (v1::User& user : *page.mutable_users()) users.push_back(std::move(user));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (options.json) {
    session.Print(JsonObject().Many("users", users).Text());
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::User& user : users) {
    if (options.quiet) session.Print(absl::StrCat(NamePart(user), "\n"));
    rows.push_back({NamePart(user), OneLine(user.email()), user.enabled() ? "True" : "False"});
  }
  if (!options.quiet) session.Print(Table(session.out(), {{"Username", 12}, {"Email", 6}, {"Enabled", 9}}, rows, 2));
  return kExitOk;
}

std::string Moment(const google::protobuf::Timestamp& timestamp) {
  const auto time = TimeOf(timestamp);
  return time ? Utc(*time) : "never";
}

absl::StatusOr<int> Display(Session& session, const UserOptions& options) {
  RISEML_RETURN_IF_ERROR(CheckUsername(options.username));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  v1::GetUserRequest request;
  request.set_name(Print(UserName{options.username}));
  const auto user = connection->Call<v1::User>(
      [&](auto* context, auto* out) { return connection->users().GetUser(context, request, out); });
  if (!user.ok()) return NotFoundAs(user.status(), options.username);
  if (options.json) {
    session.Print(JsonObject().One("user", *user).Text());
    return kExitOk;
  }
  session.Print(absl::StrCat("username: ", NamePart(*user), "\nemail: ", OneLine(user->email()), "\nrole: ",
                             RoleName(user->role()), "\nenabled: ", user->enabled() ? "True" : "False", "\n"));
  for (const v1::ApiKey& key : user->api_keys()) {
    session.Print(absl::StrCat("api_key: ", OneLine(key.prefix()), "…\n  created: ", Moment(key.create_time()),
                               "\n  expires: ", Moment(key.expire_time()),
                               "\n  last used: ", Moment(key.last_use_time()), "\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> RotateKey(Session& session, const UserOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  const std::string username = options.username.empty() ? connection->caller() : options.username;
  RISEML_RETURN_IF_ERROR(CheckUsername(username));
  v1::RotateApiKeyRequest request;
  request.set_name(Print(UserName{username}));
  // Not tried again: each call makes a new key and forgets the one before.
  const rpc::CallOptions call = {.tries = 1, .request_id = NewUuid(), .credential = connection->config().api_key};
  const auto rotated = rpc::Invoke<v1::RotateApiKeyResponse>(
      [&](auto* context, auto* out) { return connection->users().RotateApiKey(context, request, out); }, call);
  if (!rotated.ok()) {
    return WithCall(NotFoundAs(rotated.status(), username), "API", connection->config().api_address, call.request_id);
  }
  session.Print(absl::StrCat("New API key of user ", username,
                             "; all others are revoked\n api_key: ", OneLine(rotated->api_key()), "\n"));
  if (username != connection->caller()) return kExitOk;
  RISEML_ASSIGN_OR_RETURN(const std::string path, ConfigPath());
  ClientConfig config = connection->config();
  config.api_key = rotated->api_key();
  RISEML_RETURN_IF_ERROR(SaveConfig(path, config));
  session.Tell(absl::StrCat("Key stored in ", path, "\n"));
  return kExitOk;
}

using Action = absl::StatusOr<int> (*)(Session&, const UserOptions&);

CLI::App* AddTo(CLI::App& group, Plan& plan, const std::shared_ptr<UserOptions>& options, const char* name,
                const char* description, const char* examples, Action action) {
  CLI::App* command = AddCommand(group, name, description, examples);
  command->callback([&plan, options, action] {
    plan.action = [options, action](Session& session) { return action(session, *options); };
  });
  return command;
}

}  // namespace

void AddUser(CLI::App& app, Plan& plan) {
  CLI::App* group =
      AddCommand(app, "user", "Manage users, log in", "  riseml user login --api-host train.example.org:7070");
  group->require_subcommand(0, 1);
  auto options = std::make_shared<UserOptions>();
  const auto role = [&](CLI::App* command) {
    command->add_option("--role", options->role, "viewer, user or admin")
        ->transform(CLI::CheckedTransformer(kRoles, CLI::ignore_case).description(""))
        ->type_name("ROLE");
  };
  CLI::App* create = AddTo(*group, plan, options, "create", "Create a user (admins)",
                           "  riseml user create --username paul --email paul@example.org", Create);
  create->add_option("--username", options->username, "Name")->required()->type_name("NAME");
  create->add_option("--email", options->email, "Email address")->required()->type_name("EMAIL");
  role(create);
  CLI::App* update = AddTo(*group, plan, options, "update", "Change a user, enable a disabled one (admins)",
                           "  riseml user update --username paul --email p@example.org", Update);
  update->add_option("--username", options->username, "Name")->required()->type_name("NAME");
  update->add_option("--email", options->email, "New email address")->type_name("EMAIL");
  role(update);
  CLI::App* disable = AddTo(*group, plan, options, "disable", "Refuse a user from now on (admins)",
                            "  riseml user disable paul", Disable);
  disable->add_option("username", options->username, "Name")->required()->type_name("NAME");
  disable->add_flag("-y,--yes", options->yes, "Do not ask");
  CLI::App* list = AddTo(*group, plan, options, "list", "List users (admins)", "  riseml user list", List);
  list->add_flag("--json", options->json, "Print JSON");
  list->add_flag("-q,--quiet", options->quiet, "Print names only");
  CLI::App* display =
      AddTo(*group, plan, options, "display", "Show a user and the API keys", "  riseml user display paul", Display);
  display->add_option("username", options->username, "Name")->required()->type_name("NAME");
  display->add_flag("--json", options->json, "Print JSON");
  AddLogin(*group, plan);
  CLI::App* rotate = AddTo(*group, plan, options, "rotate-key", "Make a new API key and revoke all others",
                           "  riseml user rotate-key         your own; it is stored in the configuration\n"
                           "  riseml user rotate-key paul    somebody else's (admins)",
                           RotateKey);
  rotate->add_option("username", options->username, "Name; default: yourself")->type_name("NAME");
}

}  // namespace riseml::cli
