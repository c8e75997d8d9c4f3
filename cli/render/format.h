// Times, sizes and values as people read them.
#pragma once

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace riseml::cli {

// Absent when the timestamp is the zero one.
std::optional<absl::Time> TimeOf(const google::protobuf::Timestamp& timestamp);

// The largest unit only: "2 days", "1 hour", "5 minutes", "20 seconds", "just now"; "-" for an absent time.
std::string Since(std::optional<absl::Time> then, absl::Time now);

// "1h 2m 3s", "2m 3s", "20 seconds"; "-" when a time is absent.
std::string Took(std::optional<absl::Time> from, std::optional<absl::Time> to);

// "2018-07-07T10:31:13Z".
std::string Utc(absl::Time time);
// The same for a timestamp, or "never" when it is not set.
std::string UtcOrNever(const google::protobuf::Timestamp& timestamp);

// One decimal with GB, MB or KB (1024-based), or "12 B".
std::string Size(std::int64_t bytes);

// "1,204".
std::string Grouped(std::int64_t number);

// "k=v, k=v", sorted by key, on one line.
std::string Pairs(const google::protobuf::Map<std::string, std::string>& values);

// The same for results; numbers as by %.5G.
std::string Pairs(const google::protobuf::Struct& values);

}  // namespace riseml::cli
