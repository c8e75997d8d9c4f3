// Metrics of a node.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

namespace riseml::agent {

// Thread-safe.
struct AgentMetrics {
  explicit AgentMetrics(prometheus::Registry& registry)
      : started(prometheus::BuildCounter()
                    .Name("riseml_agent_attempts_started_total")
                    .Help("Attempts whose process was started.")
                    .Register(registry)
                    .Add({})),
        lost(prometheus::BuildCounter()
                 .Name("riseml_agent_attempts_lost_total")
                 .Help("Attempts that ended without saying how, or could not be started.")
                 .Register(registry)
                 .Add({})),
        ships_started(prometheus::BuildCounter()
                          .Name("riseml_agent_ships_started_total")
                          .Help("Log shippers started, one for each attempt and one more each time one has died.")
                          .Register(registry)
                          .Add({})),
        sync_failures(prometheus::BuildCounter()
                          .Name("riseml_agent_sync_failures_total")
                          .Help("Times an attempt could not be looked after; each is tried again.")
                          .Register(registry)
                          .Add({})),
        disk_free(prometheus::BuildGauge()
                      .Name("riseml_agent_disk_free_bytes")
                      .Help("Free bytes of the disks that attempts write to, by a directory on each.")
                      .Register(registry)) {}

  prometheus::Counter& started;
  prometheus::Counter& lost;
  prometheus::Counter& ships_started;
  prometheus::Counter& sync_failures;
  prometheus::Family<prometheus::Gauge>& disk_free;
};

}  // namespace riseml::agent
