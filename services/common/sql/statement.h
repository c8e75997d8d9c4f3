// Statements with parameters, planned once per connection. pqxx's exec_params has PostgreSQL parse and plan a statement
// each time, which for a join costs more than to run it.
#pragma once

#include <functional>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace riseml::sql {

// A text that PostgreSQL cannot hold. StatusOfException makes INVALID_ARGUMENT of it.
struct NulInText : std::runtime_error {
  NulInText() : std::runtime_error("a text contains a NUL character") {}
};

// pqxx passes texts as C strings: the rest behind a NUL would be lost silently.
template <class Value>
void RefuseNul(const Value& value) {
  if constexpr (std::is_same_v<Value, std::string>)
    if (value.find('\0') != std::string::npos) throw NulInText();
}

// Runs a statement with values for $1, $2, …. Statements are few: values never become part of the text. Throws
// NulInText.
template <class... Values>
pqxx::result Query(pqxx::transaction_base& tx, const std::string& statement, Values&&... values) {
  (RefuseNul<std::decay_t<Values>>(values), ...);
  const std::string name = absl::StrCat("s", absl::Hex(std::hash<std::string>()(statement), absl::kZeroPad16));
  tx.conn().prepare(name, statement);  // of no effect when it is known; throws if the name means another statement
  return tx.exec_prepared(name, std::forward<Values>(values)...);
}

// The only row of the result; pqxx::unexpected_rows if there are more or fewer.
template <class... Values>
pqxx::row QueryRow(pqxx::transaction_base& tx, const std::string& statement, Values&&... values) {
  const pqxx::result rows = Query(tx, statement, std::forward<Values>(values)...);
  if (rows.size() != 1) throw pqxx::unexpected_rows(absl::StrCat("expected one row, got ", rows.size()));
  return rows[0];
}

}  // namespace riseml::sql
