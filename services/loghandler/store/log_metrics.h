// Metrics of loghandler.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace riseml::loghandler {

struct LogMetrics {
  explicit LogMetrics(prometheus::Registry& registry);

  prometheus::Counter& stored_bytes;     // raw bytes written, without gaps
  prometheus::Counter& duplicate_bytes;  // raw bytes that came again and were dropped
  prometheus::Counter& gap_bytes;        // bytes producers have lost
  prometheus::Counter& refused_blocks;   // blocks that were not stored because of an error
  prometheus::Counter& followed_bytes;   // raw bytes sent to readers
  prometheus::Counter& lost_bytes;       // bytes that were acknowledged, but that no source has any more
  prometheus::Counter& dead_letters;     // records that can never be stored
  prometheus::Counter& position_resets;  // partitions that had lost the position to go on at
  prometheus::Gauge& lag_records;        // records in partitions of this process that are not stored yet
  prometheus::Gauge& partitions;         // partitions of this process
  prometheus::Gauge& followers;          // open Follow calls
  prometheus::Gauge& shippers;           // open Ingest calls
  prometheus::Histogram& fsync_seconds;
};

}  // namespace riseml::loghandler
