// Keys of `train` that say when, where and how often its jobs run.
#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/duration.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/checks/check.h"

namespace riseml::spec {
namespace {

constexpr int kMostPriority = 100;
constexpr std::size_t kMostLabels = 20;
constexpr std::size_t kLongestLabel = 317;  // of Kubernetes: a prefix of 253, a slash, a name of 63
constexpr absl::Duration kLongestRun = absl::Hours(24 * 365);
constexpr absl::string_view kDefaultQueue = "default";

constexpr int kMostRetries = 10;

absl::StatusOr<int> RetryCount(const View& view, absl::string_view key) {
  const std::string instead = absl::StrCat("write a whole number of 0 to ", kMostRetries, ", ", key, ": 2");
  RISEML_ASSIGN_OR_RETURN(const int count, view.Integer(0, instead));
  if (count > kMostRetries)
    return view.Fail(absl::StrCat(count, " is greater than the maximum of ", kMostRetries, ": ", instead));
  return count;
}

// A plain number means retries after failures of the infrastructure.
absl::StatusOr<Retries> CheckRetries(const View& view) {
  Retries retries;
  if (view.node().kind != Kind::kMapping) {
    RISEML_ASSIGN_OR_RETURN(retries.infrastructure, RetryCount(view, "retries"));
    return retries;
  }
  RISEML_RETURN_IF_ERROR(view.IsObject(kRetriesObject));
  if (const auto infrastructure = view.Find("infrastructure")) {
    RISEML_ASSIGN_OR_RETURN(retries.infrastructure, RetryCount(*infrastructure, "infrastructure"));
  }
  if (const auto error = view.Find("error")) {
    RISEML_ASSIGN_OR_RETURN(retries.error, RetryCount(*error, "error"));
  }
  return retries;
}

absl::StatusOr<int> CheckPriority(const View& view) {
  constexpr absl::string_view kInstead = "write a whole number of -100 to 100, priority: -10";
  RISEML_ASSIGN_OR_RETURN(const int priority, view.Integer(-kMostPriority, kInstead));
  if (priority <= kMostPriority) return priority;
  return view.Fail(absl::StrCat(priority, " is greater than the maximum of ", kMostPriority, ": ", kInstead));
}

// There is one queue so far.
absl::StatusOr<std::string> CheckQueue(const View& view) {
  RISEML_ASSIGN_OR_RETURN(std::string queue, view.Text("write the name of a queue, queue: default"));
  if (queue == kDefaultQueue) return queue;
  return view.Fail(absl::StrCat("there is no queue ", PythonText(view.node()),
                                ": write queue: default, the only one, or leave the key out"));
}

absl::StatusOr<absl::Duration> CheckMaxRunTime(const View& view) {
  constexpr absl::string_view kInstead =
      "write whole seconds, or a time with units, max_run_time: 2h30m, of 1s to 8760h";
  const Node& node = view.node();
  const bool scalar = node.kind == Kind::kText || node.kind == Kind::kInteger;
  const std::optional<absl::Duration> duration = scalar ? ReadDuration(node.text) : std::nullopt;
  if (!duration || *duration != absl::Trunc(*duration, absl::Seconds(1)) || *duration < absl::Seconds(1) ||
      *duration > kLongestRun)
    return view.Fail(absl::StrCat(PythonText(node), " is not a run time: ", kInstead));
  return *duration;
}

bool IsLabel(absl::string_view text) {
  return text.size() <= kLongestLabel && std::ranges::all_of(text, [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-_./", c);
         });
}

absl::StatusOr<std::map<std::string, std::string>> CheckNodeSelector(const View& view) {
  constexpr absl::string_view kForm = "write labels with their values, node_selector: {gpu: a100}";
  std::map<std::string, std::string> out;
  if (view.is_null()) return out;
  if (view.node().kind != Kind::kMapping) return view.FailType("'object', 'null'", kForm);
  if (view.node().keys.size() > kMostLabels)
    return view.Fail(absl::StrCat("at most ", kMostLabels, " labels are allowed: leave some out"));
  for (std::size_t i = 0; i < view.node().keys.size(); ++i) {
    const Node& label = view.node().keys[i];
    const Node& value = view.Child(i).node();
    if (value.kind == Kind::kNull || value.kind == Kind::kSequence || value.kind == Kind::kMapping)
      return view.Child(i).FailType("'string', 'number', 'boolean'", kForm);
    for (const Node* part : {&label, &value})
      if (!IsLabel(part->text) || label.text.empty())
        return view.FailAt(*part, absl::StrCat(PythonText(*part),
                                               " cannot be a label of a node or its value: write letters, digits, '-', "
                                               "'_', '.' and '/'"));
    out[label.text] = value.text;
  }
  return out;
}

}  // namespace

absl::Status CheckScheduling(const View& section, Train& train) {
  if (const auto retries = section.Find("retries")) {
    RISEML_ASSIGN_OR_RETURN(train.retries, CheckRetries(*retries));
  }
  if (const auto queue = section.Find("queue")) {
    RISEML_ASSIGN_OR_RETURN(train.queue, CheckQueue(*queue));
  }
  if (const auto priority = section.Find("priority")) {
    RISEML_ASSIGN_OR_RETURN(train.priority, CheckPriority(*priority));
  }
  if (const auto selector = section.Find("node_selector")) {
    RISEML_ASSIGN_OR_RETURN(train.node_selector, CheckNodeSelector(*selector));
  }
  if (const auto limit = section.Find("max_run_time")) {
    RISEML_ASSIGN_OR_RETURN(train.max_run_time, CheckMaxRunTime(*limit));
  }
  return absl::OkStatus();
}

}  // namespace riseml::spec
