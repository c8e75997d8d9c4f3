#include "services/loghandler/partitions/dead_letters.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status_macros.h"

namespace riseml::loghandler {

absl::StatusOr<std::unique_ptr<DeadLetters>> DeadLetters::Make(const config::v1::Kafka& settings) {
  std::unique_ptr<DeadLetters> self(new DeadLetters(settings.topic()));
  kafka::ProducerEvents events;
  events.delivered = [](std::int64_t position, const absl::Status& status) {
    if (!status.ok()) LogError("dead_letter_lost", {{"position", position}, {"error", status.message()}});
  };
  RISEML_ASSIGN_OR_RETURN(self->producer_,
                          kafka::Producer::Make(settings, settings.dead_letter_topic(), std::move(events)));
  return self;
}

void DeadLetters::Put(int partition, std::int64_t position, absl::string_view bytes, const absl::Status& why) {
  const absl::Status queued = producer_->Produce(0, "", bytes, position,
                                                 {{"topic", source_},
                                                  {"partition", absl::StrCat(partition)},
                                                  {"position", absl::StrCat(position)},
                                                  {"reason", std::string(why.message())}});
  if (!queued.ok()) LogError("dead_letter_lost", {{"position", position}, {"error", queued.message()}});
}

}  // namespace riseml::loghandler
