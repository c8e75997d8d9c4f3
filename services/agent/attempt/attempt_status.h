// The status of an attempt as its node shows it.
#pragma once

#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/attempt/journal.h"

namespace riseml::agent {

// Phase and end of an attempt as its journal has them, without secrets: the message quotes commands and what they
// printed. If secrets cannot be masked, as the attempt's files are damaged, a note that says so replaces the message.
internal::v1::AttemptStatus ShownStatus(const AttemptId& id, const AttemptDir& dir, const JournalContent& journal);

}  // namespace riseml::agent
