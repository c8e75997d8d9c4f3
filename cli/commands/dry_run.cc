#include "cli/commands/dry_run.h"

#include <cstdint>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/client/experiments.h"
#include "cli/client/wait_notice.h"
#include "cli/render/format.h"
#include "cli/render/spec_view.h"
#include "cli/render/sync_view.h"
#include "cli/sync/named_check.h"
#include "cli/sync/push.h"
#include "riseml/v1/file.grpc.pb.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/features.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kMeasuredByDryRun = 1'000'000;

// Joins the install steps, and the commands, into one text each: a `cd` in one item holds for the next.
std::vector<std::string> CommandsOf(const spec::Train& train) {
  return {absl::StrJoin(train.install, "\n"), absl::StrJoin(train.run, "\n")};
}

struct ServerFacts {
  v1::Limits limits;
  bool containers = false;
};

// Asks the installation. NOT_FOUND for an input that does not exist.
absl::StatusOr<ServerFacts> AskServer(Session& session, const std::map<std::string, std::string>& inputs) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo cluster, connection->Cluster());
  for (const auto& [name, id] : inputs) {
    const auto subject = ResolveSubject(*connection, id, "there is no experiment yet");
    const absl::Status status =
        subject.ok() ? GetExperiment(*connection, subject->experiment).status() : subject.status();
    if (!status.ok() && !IsUnreachable(status))
      return absl::NotFoundError(While(absl::StrCat("--input ", name), status).message());
  }
  const auto stub = v1::FileService::NewStub(connection->Channel(cluster.gitsync_address()));
  const WaitNotice notice("sync service", cluster.gitsync_address());
  RISEML_ASSIGN_OR_RETURN(
      const v1::Limits limits,
      sync::GetLimits(*stub, {.project = "", .credential = connection->config().api_key, .request_id = NewUuid()}));
  return ServerFacts{limits, cluster.containers()};
}

}  // namespace

absl::Status CheckNames(Session& session, const SpecFile& file, const sync::Snapshot& snapshot) {
  std::vector<std::string> notes;
  RISEML_RETURN_IF_ERROR(sync::CheckNamedFiles(snapshot, CommandsOf(*file.spec.train), notes));
  for (const std::string& note : notes) session.Tell(absl::StrCat("WARNING: ", OneLine(note), "\n"));
  return absl::OkStatus();
}

void TellDoubts(const Session& session, const spec::Spec& spec, const DoubtContext& context) {
  for (const std::string& warning : spec.warnings) session.Tell(absl::StrCat("WARNING: ", warning, "\n"));
  if (!spec.train) return;
  std::set<std::string> names;
  for (const auto& [name, id] : context.inputs) names.insert(name);
  for (const std::string& warning : spec::MissingDirectories(*spec.train, names))
    session.Tell(absl::StrCat("WARNING: ", OneLine(warning), "\n"));
  if (context.quiet) return;
  for (const std::string& notice : spec::Notices(*spec.train, context.containers))
    session.Tell(absl::StrCat("NOTE: ", notice, "\n"));
}

std::string DirectoryText(const SpecFile& file, const std::string& root) {
  return absl::StrCat("Project directory: ", OneLine(root), " (configuration ", OneLine(file.path), ")");
}

absl::StatusOr<int> DryRun(Session& session, const SpecFile& file, const std::string& root,
                           const std::map<std::string, std::string>& inputs) {
  SystemClock clock;
  const absl::StatusOr<ServerFacts> server = AskServer(session, inputs);
  if (absl::IsNotFound(server.status())) return server.status();
  if (!server.ok())
    session.Tell(absl::StrCat("NOTE: limits of the installation not checked: ", server.status().message(), "\n"));
  sync::SnapshotOptions options;
  options.root = root;
  options.clock = &clock;
  if (server.ok()) options.limits = server->limits;
  options.scan = {.measured_entries = kMeasuredByDryRun, .measures_expected = true};
  const auto taken = sync::TakeSnapshot(options);
  RISEML_RETURN_IF_ERROR(While("cannot sync the project", taken.status()));
  const sync::Snapshot& snapshot = *taken;
  session.Print(absl::StrCat(PlanText(file.spec), "\n", DirectoryText(file, root), "\n"));
  TellDoubts(session, file.spec,
             {.inputs = inputs, .containers = server.ok() ? std::optional<bool>(server->containers) : std::nullopt});
  session.Tell(SyncNotes(snapshot, {}));
  session.Print(DryRunText(session.out(), snapshot));
  RISEML_RETURN_IF_ERROR(CheckNames(session, file, snapshot));
  return kExitOk;
}

}  // namespace riseml::cli
