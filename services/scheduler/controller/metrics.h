// Metrics of the scheduler.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace riseml::scheduler {

struct SchedulerMetrics {
  explicit SchedulerMetrics(prometheus::Registry& r)
      : leader(prometheus::BuildGauge()
                   .Name("riseml_scheduler_leader")
                   .Help("1 while this process leads.")
                   .Register(r)
                   .Add({})),
        queue_depth(prometheus::BuildGauge()
                        .Name("riseml_scheduler_queue_jobs")
                        .Help("Jobs that could be placed and wait, by reason.")
                        .Register(r)),
        placements(prometheus::BuildCounter()
                       .Name("riseml_scheduler_placements_total")
                       .Help("Placements sent to api, by outcome.")
                       .Register(r)),
        observations(prometheus::BuildCounter()
                         .Name("riseml_scheduler_observations_total")
                         .Help("Facts accepted by api, by event.")
                         .Register(r)),
        observation_lag(prometheus::BuildHistogram()
                            .Name("riseml_scheduler_observation_lag_seconds")
                            .Help("From the start or end of an attempt, by its node's clock, to api's acceptance.")
                            .Register(r)
                            .Add({}, prometheus::Histogram::BucketBoundaries{0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1,
                                                                             2, 5, 10, 60})),
        node_calls(prometheus::BuildCounter()
                       .Name("riseml_scheduler_node_calls_total")
                       .Help("Calls to nodes, by call and outcome.")
                       .Register(r)) {}
  prometheus::Gauge& leader;
  prometheus::Family<prometheus::Gauge>& queue_depth;
  prometheus::Family<prometheus::Counter>& placements;
  prometheus::Family<prometheus::Counter>& observations;
  prometheus::Histogram& observation_lag;
  prometheus::Family<prometheus::Counter>& node_calls;
};

}  // namespace riseml::scheduler
