#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/render/format.h"
#include "cli/render/json.h"
#include "services/common/base/byte_size.h"
#include "services/common/base/names.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

// "12.3 GiB of 500 GiB"; without a bound only the first.
std::string OfLimit(const std::string& used, std::int64_t limit, const std::string& shown_limit) {
  return limit < 0 ? used : absl::StrCat(used, " of ", shown_limit);
}

// Empty if the server does not report it.
std::string StoredLine(const v1::User& user) {
  if (user.stored_bytes_limit() == 0) return "";
  return absl::StrCat(
      "Stored: ",
      OfLimit(PrintSize(user.stored_bytes()), user.stored_bytes_limit(), PrintSize(user.stored_bytes_limit())), ", ",
      OfLimit(Grouped(user.experiment_count()), user.experiment_limit(), Grouped(user.experiment_limit())),
      " experiments\n");
}

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
  session.Print(absl::StrCat("you are: ", name.user, " (", OneLine(user.email()), ")\n", StoredLine(user)));
  return kExitOk;
}

}  // namespace

void AddWhoami(cmdline::Command app, Plan& plan) {
  cmdline::Command command = AddCommand(
      app, "whoami", "Show the current user, and how much of what is allowed the user keeps", "  riseml whoami");
  auto json = std::make_shared<bool>(false);
  command.AddFlag("--json", *json, "Print JSON");
  command.OnTyped([&plan, json] { plan.action = [json](Session& session) { return Whoami(session, *json); }; });
}

}  // namespace riseml::cli
