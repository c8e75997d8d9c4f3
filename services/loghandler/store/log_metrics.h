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
  prometheus::Gauge& followers;          // open Follow calls
  prometheus::Gauge& shippers;           // open Ingest calls
  prometheus::Histogram& fsync_seconds;
};

}  // namespace riseml::loghandler
