#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/render/environment_view.h"
#include "cli/render/format.h"
#include "cli/render/json.h"
#include "cli/render/terminal.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

struct EnvironmentOptions {
  std::vector<std::string> keys;
  bool json = false;
  bool quiet = false;
};

absl::StatusOr<int> List(Session& session, const EnvironmentOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(
      const auto response, connection->Call<v1::ListEnvironmentsResponse>([&](auto* context, auto* out) {
        return connection->environments().ListEnvironments(context, v1::ListEnvironmentsRequest(), out);
      }));
  if (options.json) {
    const std::vector<v1::StoredEnvironment> all(response.environments().begin(), response.environments().end());
    session.Print(JsonObject().Many("environments", all).Text());
  } else if (options.quiet) {
    for (const v1::StoredEnvironment& one : response.environments())
      session.Print(absl::StrCat(ShortKey(OneLine(one.key())), "\n"));
  } else {
    session.Print(EnvironmentList(session.viewer(), response));
  }
  return kExitOk;
}

absl::StatusOr<int> Remove(Session& session, const EnvironmentOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  for (const std::string& key : options.keys) {
    v1::RemoveEnvironmentRequest request;
    request.set_key(key);
    RISEML_ASSIGN_OR_RETURN(
        const auto removed,
        connection->CallAtLength<v1::RemoveEnvironmentResponse>(
            absl::StrCat("removing environment ", ShortKey(key), "…"), [&](auto* context, auto* out) {
              return connection->environments().RemoveEnvironment(context, request, out);
            }));
    if (!options.quiet)
      session.Print(absl::StrCat("removed environment ", ShortKey(key), " (", Size(removed.bytes()), ")\n"));
  }
  return kExitOk;
}

}  // namespace

void AddEnvironment(cmdline::Command app, Plan& plan) {
  cmdline::Command group = AddCommand(app, "environment", "List and remove environments: what install steps have made",
                                      "  riseml environment list\n"
                                      "  riseml environment rm 3f2a91c0");
  group.Alias("env");
  group.RequireCommand(/*optional=*/true);
  auto options = std::make_shared<EnvironmentOptions>();
  cmdline::Command list = AddCommand(group, "list", "Show environments with size, origin and use",
                                     "  riseml environment list\n"
                                     "  riseml environment list --json");
  list.AddFlag("--json", options->json, "Print JSON");
  list.AddFlag("-q,--quiet", options->quiet, "Print keys only");
  Runs(list, plan, options, List);
  cmdline::Command remove =
      AddCommand(group, "rm", "Remove environments that no job uses; they are built again when needed",
                 "  riseml environment rm 3f2a91c0");
  remove.AddOption("key", options->keys, "Key, or its first 8 digits or more").Type("KEY").Required();
  remove.AddFlag("-q,--quiet", options->quiet, "Say nothing");
  Runs(remove, plan, options, Remove);
}

}  // namespace riseml::cli
