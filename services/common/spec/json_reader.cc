#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "services/common/spec/parse.h"
#include "services/common/spec/reader.h"
#include "services/common/spec/tree_builder.h"

namespace riseml::spec {
namespace {

// Extracts <what> from "[id] parse error at line 1, column 2: <what>; last read: <all of the token>; <more>".
absl::string_view Explanation(absl::string_view what) {
  constexpr std::size_t kLongest = 120;
  const std::size_t begin = what.find(": ");
  if (begin != absl::string_view::npos) what.remove_prefix(begin + 2);
  return what.substr(0, std::min(what.find("; last read:"), kLongest));
}

// Receives tokens that the parser has already found valid, and follows them in the text with a cursor of its own,
// because the parser tells neither where a token stands nor how a number was written.
class Handler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Handler(const Source& source) : source_(source), builder_(source.name()) {}

  absl::Status status() const { return status_; }
  Node Take() { return builder_.Take(); }

  bool null() override { return Scalar(Kind::kNull, 4); }
  bool boolean(bool value) override { return Scalar(Kind::kBoolean, value ? 4 : 5); }
  bool number_integer(number_integer_t) override { return Number(); }
  bool number_unsigned(number_unsigned_t) override { return Number(); }
  bool number_float(number_float_t, const string_t&) override { return Number(); }
  bool string(string_t& value) override { return Text(value); }
  bool key(string_t& value) override { return Text(value); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return Open(Kind::kMapping); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(Kind::kSequence); }
  bool end_array() override { return Close(); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    const Position at = source_.At(position == 0 ? 0 : position - 1);
    return Keep(InvalidSpec(source_.name(), {at.line, at.column, "",
                                             absl::StrCat("Error in configuration file: ", Explanation(e.what()),
                                                          ": send one valid JSON value")}));
  }

 private:
  bool Keep(absl::Status status) {
    status_ = std::move(status);
    return status_.ok();
  }

  // Moves the cursor to the next token and returns its place.
  Position Next() {
    cursor_ = std::min(source_.text().find_first_not_of(" \t\n,:", cursor_), source_.text().size());
    return source_.At(cursor_);
  }

  bool Scalar(Kind kind, std::size_t length, std::string text) {
    const Position at = Next();
    cursor_ += length;
    return Keep(builder_.Scalar({kind, std::move(text), at.line, at.column, {}, {}}));
  }

  bool Scalar(Kind kind, std::size_t length) {
    Next();
    return Scalar(kind, length, source_.text().substr(cursor_, length));
  }

  bool Number() {
    Next();
    const std::size_t end =
        std::min(source_.text().find_first_not_of("+-.0123456789eE", cursor_), source_.text().size());
    const std::string text = source_.text().substr(cursor_, end - cursor_);
    return Scalar(ResolvePlain(text), text.size(), text);
  }

  bool Text(const std::string& value) {
    Next();
    std::size_t end = cursor_ + 1;
    while (end < source_.text().size() && source_.text()[end] != '"') end += source_.text()[end] == '\\' ? 2 : 1;
    return Scalar(Kind::kText, end + 1 - cursor_, value);
  }

  bool Open(Kind kind) {
    const Position at = Next();
    ++cursor_;
    return Keep(builder_.Open(kind, at));
  }

  bool Close() {
    Next();
    ++cursor_;
    return Keep(builder_.Close());
  }

  const Source& source_;
  TreeBuilder builder_;
  std::size_t cursor_ = 0;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Node> ReadJson(const Source& source) {
  Handler handler(source);
  nlohmann::json::sax_parse(source.text(), &handler);
  if (!handler.status().ok()) return handler.status();
  return handler.Take();
}

}  // namespace riseml::spec
