#include <unistd.h>

#include <algorithm>
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
#include "services/common/base/byte_size.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

struct UserOptions {
  std::string username;
  std::string named;  // the same as an option of `update`
  std::string email;
  std::string role;  // "viewer", "user" or "admin"; empty: not given
  bool json = false;
  bool quiet = false;
  bool yes = false;
  bool enable = false;
};

std::string NamePart(const v1::User& user) {
  const auto name = ParseUserName(user.name());
  return name.ok() ? name->user : OneLine(user.name());
}

v1::User::Role RoleOf(const std::string& name) {
  v1::User::Role role = v1::User::ROLE_UNSPECIFIED;
  if (!name.empty()) v1::User::Role_Parse(absl::AsciiStrToUpper(name), &role);
  return role;
}

std::string RoleName(v1::User::Role role) { return absl::AsciiStrToLower(v1::User::Role_Name(role)); }

std::string StoredText(const v1::User& user) {
  return user.stored_bytes_limit() == 0 ? "-" : PrintSize(user.stored_bytes());
}

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
  request.set_role(RoleOf(options.role));
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
  request.set_role(RoleOf(options.role));
  request.set_enabled(options.enable);
  if (!options.email.empty()) request.mutable_update_mask()->add_paths("email");
  if (!options.role.empty()) request.mutable_update_mask()->add_paths("role");
  if (options.enable) request.mutable_update_mask()->add_paths("enabled");
  if (request.update_mask().paths().empty())
    return absl::InvalidArgumentError("no change was asked for; add --email, --role or --enable");
  const auto updated = connection->Call<v1::User>(
      [&](auto* context, auto* out) { return connection->users().UpdateUser(context, request, out); });
  if (!updated.ok()) return NotFoundAs(updated.status(), options.username);
  session.Print(absl::StrCat("Updated user ", options.username, "\n email: ", OneLine(updated->email()), "\n"));
  if (!options.role.empty()) session.Print(absl::StrCat(" role: ", RoleName(updated->role()), "\n"));
  if (options.enable) session.Print(" enabled: True\n");
  return kExitOk;
}

absl::StatusOr<int> UpdateNamed(Session& session, const UserOptions& options) {
  UserOptions named = options;
  if (named.username.empty()) named.username = options.named;
  if (named.username.empty())
    return absl::InvalidArgumentError("no user is named; write e.g. riseml user update paul --enable");
  return Update(session, named);
}

absl::StatusOr<int> Disable(Session& session, const UserOptions& options) {
  RISEML_RETURN_IF_ERROR(CheckUsername(options.username));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  if (!options.yes) RISEML_RETURN_IF_ERROR(Confirm(absl::StrCat("Disable user ", options.username, "?")));
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
    rows.push_back({NamePart(user), OneLine(user.email()), RoleName(user.role()), user.enabled() ? "True" : "False",
                    StoredText(user)});
  }
  if (!options.quiet)
    session.Print(
        Table(session.out(), {{"Username", 12}, {"Email", 6}, {"Role", 6}, {"Enabled", 9}, {"Stored", 9}}, rows, 2));
  return kExitOk;
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
    session.Print(absl::StrCat("api_key: ", OneLine(key.prefix()), "…\n  created: ", UtcOrNever(key.create_time()),
                               "\n  expires: ", UtcOrNever(key.expire_time()),
                               "\n  last used: ", UtcOrNever(key.last_use_time()), "\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> RotateKey(Session& session, const UserOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  const std::string username = options.username.empty() ? connection->caller() : options.username;
  RISEML_RETURN_IF_ERROR(CheckUsername(username));
  v1::RotateApiKeyRequest request;
  request.set_request_id(NewUuid());
  request.set_name(Print(UserName{username}));
  // Not tried again: each call makes a new key and forgets the one before.
  const auto rotated = connection->CallOnce<v1::RotateApiKeyResponse>(
      [&](auto* context, auto* out) { return connection->users().RotateApiKey(context, request, out); });
  if (!rotated.ok()) return NotFoundAs(rotated.status(), username);
  session.Print(absl::StrCat("New API key of user ", username,
                             "; all others are revoked\n api_key: ", OneLine(rotated->api_key()), "\n"));
  if (username != connection->caller()) return kExitOk;
  RISEML_ASSIGN_OR_RETURN(const std::string path, ClientConfigPath());
  ClientConfig config = connection->config();
  config.api_key = rotated->api_key();
  RISEML_RETURN_IF_ERROR(SaveClientConfig(path, config));
  session.Tell(absl::StrCat("Key stored in ", path, "\n"));
  return kExitOk;
}

}  // namespace

void AddUser(cmdline::Command app, Plan& plan) {
  cmdline::Command group =
      AddCommand(app, "user", "Manage users, log in", "  riseml user login --api-host train.example.org:7070");
  group.RequireCommand(/*optional=*/true);
  auto options = std::make_shared<UserOptions>();
  const auto role = [&](cmdline::Command command) {
    command.AddOption("--role", options->role, "viewer, user or admin").OneOf({"viewer", "user", "admin"}).Type("ROLE");
  };
  cmdline::Command create = Runs(AddCommand(group, "create", "Create a user (admins)",
                                            "  riseml user create --username paul --email paul@example.org"),
                                 plan, options, Create);
  create.AddOption("--username", options->username, "Name").Required().Type("NAME");
  create.AddOption("--email", options->email, "Email address").Required().Type("EMAIL");
  role(create);
  cmdline::Command update = Runs(AddCommand(group, "update", "Change a user, enable a disabled one (admins)",
                                            "  riseml user update paul --email p@example.org\n"
                                            "  riseml user update paul --enable"),
                                 plan, options, UpdateNamed);
  const cmdline::Option name = update.AddOption("username", options->username, "Name").Type("NAME");
  update.AddOption("--username", options->named, "The same").Type("NAME").Excludes(name);
  update.AddOption("--email", options->email, "New email address").Type("EMAIL");
  update.AddFlag("--enable", options->enable, "Accept the keys of a user who was disabled");
  role(update);
  cmdline::Command disable =
      Runs(AddCommand(group, "disable", "Refuse a user from now on (admins)", "  riseml user disable paul"), plan,
           options, Disable);
  disable.AddOption("username", options->username, "Name").Required().Type("NAME");
  disable.AddFlag("-y,--yes", options->yes, "Do not ask");
  cmdline::Command list =
      Runs(AddCommand(group, "list", "List users and the storage that their outputs, logs and code use (admins)",
                      "  riseml user list"),
           plan, options, List);
  list.AddFlag("--json", options->json, "Print JSON");
  list.AddFlag("-q,--quiet", options->quiet, "Print names only");
  cmdline::Command display =
      Runs(AddCommand(group, "display", "Show a user and the API keys", "  riseml user display paul"), plan, options,
           Display);
  display.AddOption("username", options->username, "Name").Required().Type("NAME");
  display.AddFlag("--json", options->json, "Print JSON");
  AddLogin(group, plan);
  cmdline::Command rotate =
      Runs(AddCommand(group, "rotate-key", "Make a new API key and revoke all others",
                      "  riseml user rotate-key         your own; it is stored in the configuration\n"
                      "  riseml user rotate-key paul    somebody else's (admins)"),
           plan, options, RotateKey);
  rotate.AddOption("username", options->username, "Name; default: yourself").Type("NAME");
}

}  // namespace riseml::cli
