// Topics of the log records: creation and checks.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/config/v1/kafka.pb.h"

namespace riseml::kafka {

// Makes the topic of the records and that of dead letters. A topic that exists is left as it is. FAILED_PRECONDITION if
// it has another number of partitions. Blocks for at most `timeout`.
absl::Status CreateTopics(const config::v1::Kafka& settings, absl::Duration timeout);

// Gives the users of the two services exactly the rights they need: `agent` writes the topic of the records,
// `loghandler` reads it as a member of `group` and writes that of dead letters.
absl::Status CreateAcls(const config::v1::Kafka& settings, const std::string& agent, const std::string& loghandler,
                        const std::string& group, absl::Duration timeout);

// Removes the topic and everything in it, for tests of what happens then.
absl::Status DeleteTopic(const config::v1::Kafka& settings, const std::string& topic, absl::Duration timeout);

// Removes the records of a partition before a position.
absl::Status DeleteRecords(const config::v1::Kafka& settings, int partition, std::int64_t before,
                           absl::Duration timeout);

// OK if the topic of the records exists and has the number of partitions of the settings. NOT_FOUND if a broker says
// that there is no such topic. UNAVAILABLE if none answers within `timeout`. FAILED_PRECONDITION if the number is
// another one.
absl::Status CheckTopic(const config::v1::Kafka& settings, absl::Duration timeout);

}  // namespace riseml::kafka
