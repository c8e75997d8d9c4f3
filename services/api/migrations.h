// The schema of api's database, from migrations/*.sql.
#pragma once

#include <vector>

#include "services/common/sql/migrate.h"

namespace riseml::api {
const std::vector<sql::Migration>& Migrations();
}  // namespace riseml::api
