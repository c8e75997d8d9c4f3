#include "services/loghandler/store/log_metrics.h"

#include <string>

namespace riseml::loghandler {
namespace {

prometheus::Counter& MakeCounter(prometheus::Registry& registry, const std::string& name, const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Gauge& MakeGauge(prometheus::Registry& registry, const std::string& name, const std::string& help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

LogMetrics::LogMetrics(prometheus::Registry& registry)
    : stored_bytes(
          MakeCounter(registry, "riseml_loghandler_stored_bytes_total", "Bytes of logs stored, before compression")),
      duplicate_bytes(
          MakeCounter(registry, "riseml_loghandler_duplicate_bytes_total", "Bytes that came again and were dropped")),
      gap_bytes(MakeCounter(registry, "riseml_loghandler_gap_bytes_total", "Bytes lost by producers")),
      refused_blocks(
          MakeCounter(registry, "riseml_loghandler_refused_blocks_total", "Blocks not stored because of an error")),
      followed_bytes(MakeCounter(registry, "riseml_loghandler_followed_bytes_total", "Bytes of logs sent to readers")),
      lost_bytes(MakeCounter(registry, "riseml_loghandler_lost_bytes_total",
                             "Acknowledged bytes that were lost on the way to this service; readers see a gap")),
      dead_letters(MakeCounter(registry, "riseml_loghandler_dead_letters_total", "Records that can never be stored")),
      position_resets(MakeCounter(registry, "riseml_loghandler_position_resets_total",
                                  "Partitions whose next position had vanished: deleted topics, deleted records")),
      lag_records(MakeGauge(registry, "riseml_loghandler_lag_records", "Records of partitions not stored yet")),
      partitions(MakeGauge(registry, "riseml_loghandler_partitions", "Partitions this process reads")),
      followers(MakeGauge(registry, "riseml_loghandler_followers", "Open Follow calls")),
      shippers(MakeGauge(registry, "riseml_loghandler_shippers", "Open Ingest calls")),
      fsync_seconds(prometheus::BuildHistogram()
                        .Name("riseml_loghandler_fsync_seconds")
                        .Help("Time to make a file durable")
                        .Register(registry)
                        .Add({}, prometheus::Histogram::BucketBoundaries{0.0005, 0.002, 0.008, 0.03, 0.1, 0.5, 2})) {}

}  // namespace riseml::loghandler
