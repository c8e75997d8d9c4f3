#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/render/json.h"
#include "cli/render/node_view.h"
#include "cli/version.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"

namespace riseml::cli {
namespace {

struct InfoOptions {
  bool long_form = false;
  bool gpus = false;
  bool json = false;
};

absl::StatusOr<std::vector<v1::Node>> ListNodes(Connection& connection) {
  std::vector<v1::Node> nodes;
  v1::ListNodesRequest request;
  request.set_page_size(500);
  do {
    RISEML_ASSIGN_OR_RETURN(v1::ListNodesResponse page,
                            connection.Call<v1::ListNodesResponse>([&](auto* context, auto* out) {
                              return connection.nodes().ListNodes(context, request, out);
                            }));
    for (v1::Node& node : *page.mutable_nodes()) nodes.push_back(std::move(node));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return nodes;
}

// As ListNodes, but waits up to a second for a first node in local mode: right after `riseml up` it may not have joined
// yet.
absl::StatusOr<std::vector<v1::Node>> ListJoinedNodes(Connection& connection, const v1::ClusterInfo& cluster) {
  const int looks = cluster.mode() == v1::ClusterInfo::LOCAL ? 10 : 1;
  for (int look = 1;; ++look) {
    RISEML_ASSIGN_OR_RETURN(std::vector<v1::Node> nodes, ListNodes(connection));
    if (!nodes.empty() || look == looks) return nodes;
    Pause({}, absl::Milliseconds(100));
  }
}

absl::StatusOr<int> Info(Session& session, const InfoOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(v1::ClusterInfo cluster, connection->Cluster());
  if (!session.viewer().MayRead(cluster.local_dir())) cluster.clear_local_dir();
  RISEML_ASSIGN_OR_RETURN(const std::vector<v1::Node> nodes, ListJoinedNodes(*connection, cluster));
  if (options.json) {
    session.Print(JsonObject().One("cluster", cluster).Many("nodes", nodes).Text());
    return kExitOk;
  }
  if (options.gpus) {
    session.Print(GpuTable(session.out(), nodes));
    return kExitOk;
  }
  if (!options.long_form) {
    session.Print(absl::StrCat("RiseML Client/Server Version: ", kVersion, "/", OneLine(cluster.server_version()),
                               "\nRiseML Cluster ID: ", OneLine(cluster.cluster_id()), "\n"));
    if (!cluster.kubernetes_version().empty()) {
      session.Print(absl::StrCat("Kubernetes Version ", OneLine(cluster.kubernetes_version()), "\n"));
    }
    if (!cluster.local_dir().empty()) session.Print(absl::StrCat("Directory: ", OneLine(cluster.local_dir()), "\n"));
    if (cluster.containers()) session.Print("Jobs run in containers.\n");
    session.Print("\n");
  }
  if (nodes.empty()) session.Tell("No node has joined yet; a node that has just started joins within a few seconds.\n");
  session.Print(NodeTable(session.out(), nodes, options.long_form));
  std::string notes = NodeNotes(nodes);
  for (const std::string& note : cluster.notes()) absl::StrAppend(&notes, OneLine(note), "\n");
  if (!notes.empty()) session.Print(absl::StrCat("\n", notes));
  return kExitOk;
}

}  // namespace

void AddSystem(cmdline::Command app, Plan& plan) {
  cmdline::Command group = AddCommand(app, "system", "Show the installation", "  riseml system info");
  group.RequireCommand(/*optional=*/true);
  cmdline::Command command = AddCommand(group, "info", "Show versions, nodes and GPUs",
                                        "  riseml system info\n"
                                        "  riseml system info -l    with versions of the nodes\n"
                                        "  riseml system info -g    GPUs");
  auto options = std::make_shared<InfoOptions>();
  const cmdline::Option long_form = command.AddFlag("-l,--long", options->long_form, "Nodes with versions");
  command.AddFlag("-g,--gpus", options->gpus, "GPUs").Excludes(long_form);
  command.AddFlag("--json", options->json, "Print JSON");
  Runs(command, plan, options, Info);
}

}  // namespace riseml::cli
