#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/render/json.h"
#include "services/common/base/names.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

absl::StatusOr<int> Whoami(Session& session, bool json) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(const v1::User user, connection->Call<v1::User>([&](auto* context, auto* out) {
    return connection->users().GetCaller(context, v1::GetCallerRequest(), out);
  }));
  if (json) {
    session.Print(JsonObject().One("user", user).Text());
    return kExitOk;
  }
  RISEML_ASSIGN_OR_RETURN(const UserName name, ParseUserName(user.name()));
  session.Print(absl::StrCat("you are: ", name.user, " (", OneLine(user.email()), ")\n"));
  return kExitOk;
}

}  // namespace

void AddWhoami(cmdline::Command app, Plan& plan) {
  cmdline::Command command = AddCommand(app, "whoami", "Show the current user", "  riseml whoami");
  auto json = std::make_shared<bool>(false);
  command.AddFlag("--json", *json, "Print JSON");
  command.OnTyped([&plan, json] { plan.action = [json](Session& session) { return Whoami(session, *json); }; });
}

}  // namespace riseml::cli
