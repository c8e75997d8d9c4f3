// Early return on error for functions that return absl::Status or absl::StatusOr.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RISEML_RETURN_IF_ERROR(expression)                                                    \
  do {                                                                                        \
    if (absl::Status riseml_status = (expression); !riseml_status.ok()) return riseml_status; \
  } while (false)

#define RISEML_CONCAT_INNER(a, b) a##b
#define RISEML_CONCAT(a, b) RISEML_CONCAT_INNER(a, b)

#define RISEML_ASSIGN_OR_RETURN(target, expression) \
  RISEML_ASSIGN_OR_RETURN_IMPL(RISEML_CONCAT(riseml_result_, __LINE__), target, expression)

#define RISEML_ASSIGN_OR_RETURN_IMPL(result, target, expression) \
  auto result = (expression);                                    \
  if (!result.ok()) return result.status();                      \
  target = *std::move(result)
