// Table of the services of a local installation.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::supervisor {

enum class ListenerRole {
  kUser,      // called by users; has a port and a socket
  kInternal,  // called by services; has a socket
  kMetrics,   // has a port
  kEdge,      // answered by the edge itself, on a user port
  kImages,    // answers HTTP; has a port; exists while jobs run in containers
};
constexpr bool HasPort(ListenerRole role) { return role != ListenerRole::kInternal; }

struct ListenerInfo {
  absl::string_view name;  // key in supervisor.json, e.g. "api.user"
  ListenerRole role;
};

struct ServiceInfo {
  absl::string_view name;                 // name of its configuration, log, pid file and certificate
  absl::string_view program;              // file in the programs' directory
  absl::string_view verb;                 // first argument; may be empty
  int stop_wave;                          // services of wave 0 stop first; the database is the last wave
  std::array<ListenerInfo, 3> listeners;  // unused ones have an empty name
};

inline constexpr absl::string_view kDatabase = "postgres";
inline constexpr int kLastWave = 3;

// Service that has root's rights if root runs the installation and jobs run in containers.
inline constexpr absl::string_view kNode = "agent";
// Listener of builder that gives the tokens of the registry (adr/0018).
inline constexpr absl::string_view kTokenListener = "builder.tokens";

inline constexpr ServiceInfo kServices[] = {
    {"api",
     "riseml-api",
     "",
     2,
     {{{"api.user", ListenerRole::kUser},
       {"api.internal", ListenerRole::kInternal},
       {"api.metrics", ListenerRole::kMetrics}}}},
    {"gitsync",
     "riseml-gitsync",
     "",
     1,
     {{{"gitsync.user", ListenerRole::kUser},
       {"gitsync.internal", ListenerRole::kInternal},
       {"gitsync.metrics", ListenerRole::kMetrics}}}},
    {"builder",
     "riseml-builder",
     "",
     0,
     {{{"builder.internal", ListenerRole::kInternal},
       {"builder.metrics", ListenerRole::kMetrics},
       {kTokenListener, ListenerRole::kImages}}}},
    {"loghandler",
     "riseml-loghandler",
     "",
     1,
     {{{"loghandler.user", ListenerRole::kUser}, {"loghandler.metrics", ListenerRole::kMetrics}, {}}}},
    {kNode,
     "riseml-agent",
     "node",
     0,
     {{{"agent.internal", ListenerRole::kInternal}, {"agent.metrics", ListenerRole::kMetrics}, {}}}},
    {"scheduler",
     "riseml-scheduler",
     "",
     0,
     {{{"scheduler.internal", ListenerRole::kInternal}, {"scheduler.metrics", ListenerRole::kMetrics}, {}}}},
};

// Name of the edge's unit, certificate and files.
inline constexpr absl::string_view kEdge = "edge";
inline constexpr absl::string_view kEdgeMetrics = "edge.metrics";

// Name of the unit, the files and the listener of the registry of images.
inline constexpr absl::string_view kRegistry = "registry";
// Names of the certificates of tokens: of the authority that the registry trusts, and of the key that builder signs
// with.
inline constexpr absl::string_view kTokenAuthority = "registry-ca";
inline constexpr absl::string_view kTokenKeys = "registry-tokens";

// Listeners of all services, of the edge and of the registry.
inline std::vector<ListenerInfo> AllListeners() {
  std::vector<ListenerInfo> all;
  for (const ServiceInfo& service : kServices)
    for (const ListenerInfo& listener : service.listeners)
      if (!listener.name.empty()) all.push_back(listener);
  all.push_back({kEdgeMetrics, ListenerRole::kMetrics});
  all.push_back({kRegistry, ListenerRole::kImages});
  return all;
}

// Name of the supervisor's own certificate and files.
inline constexpr absl::string_view kSupervisor = "supervisor";

}  // namespace riseml::supervisor
