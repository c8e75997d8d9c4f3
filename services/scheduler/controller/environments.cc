#include "services/scheduler/controller/environments.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/common/rpc/status.h"

namespace riseml::scheduler {
namespace {

constexpr absl::Duration kRemember = absl::Seconds(1);
constexpr std::size_t kMaxAnswers = 10'000;
constexpr int kMaxUnderWay = 4;
constexpr int kMaxSteps = 20;  // per record
constexpr std::size_t kMaxTitleBytes = 100;
constexpr absl::string_view kCut = "...";

// At most 100 bytes of UTF-8.
std::string Shortened(const std::string& text) {
  if (text.size() <= kMaxTitleBytes) return text;
  std::size_t end = kMaxTitleBytes - kCut.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), kCut);
}

bool IsAway(const absl::Status& status) {
  return rpc::IsTransient(status) || status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

// Shortens the plan, so that a thousand placements fit into a message.
internal::v1::EnvironmentRecord RecordOf(const internal::v1::Environment& environment) {
  internal::v1::EnvironmentRecord record;
  record.set_digest(environment.digest());
  record.set_built_because(environment.explanation().reason());
  const auto& steps = environment.plan().steps();
  for (int i = 0; i < std::min(steps.size(), kMaxSteps); ++i) record.add_steps(Shortened(steps[i].title()));
  return record;
}

std::optional<absl::StatusOr<internal::v1::Environment>> EnvironmentCache::Resolve(const std::string& job_uid,
                                                                                   const internal::v1::Work& job) {
  if (!job.has_environment()) {
    internal::v1::Environment environment;
    environment.set_state(internal::v1::Environment::NOT_NEEDED);
    return environment;
  }
  const std::string key = job.environment().SerializeAsString();
  if (auto known = Known(key)) return known;
  const auto [question, is_new] = questions_.try_emplace(key, Question{job.environment(), {}});
  question->second.jobs.insert(job_uid);
  if (!is_new) return std::nullopt;
  queue_.push_back(key);
  AskNext();
  TakeAnswers();  // the answer may be there already
  auto known = Known(key);
  if (known) answered_.erase(job_uid);
  return known;
}

std::set<std::string> EnvironmentCache::TakeAnswered() {
  TakeAnswers();
  return std::exchange(answered_, {});
}

void EnvironmentCache::Clear() {
  answers_.clear();
  ++round_;
}

std::optional<absl::StatusOr<internal::v1::Environment>> EnvironmentCache::Known(const std::string& key) const {
  const absl::Time now = ports_.clock.Now();
  if (const auto it = answers_.find(key); it != answers_.end() && now < it->second.until) return it->second.environment;
  if (now < away_until_) return away_;
  return std::nullopt;
}

void EnvironmentCache::AskNext() {
  for (; under_way_ < kMaxUnderWay && !queue_.empty(); queue_.pop_front()) {
    ++under_way_;
    const std::string& key = queue_.front();
    ports_.executor.Run([key, round = round_, request = questions_.at(key).request, &environments = ports_.environments,
                         &answers = ports_.answers] {
      answers.Put({key, round, environments.Resolve(request)});
    });
  }
}

void EnvironmentCache::TakeAnswers() {
  for (EnvironmentAnswer& answer : ports_.answers.Take()) {
    --under_way_;
    CloseQuestion(answer.key);
    if (answer.round == round_) Keep(std::move(answer));
  }
  AskNext();
}

void EnvironmentCache::Keep(EnvironmentAnswer answer) {
  const absl::Time until = ports_.clock.Now() + kRemember;
  if (!answer.environment.ok() && IsAway(answer.environment.status())) {
    away_ = answer.environment.status();
    away_until_ = until;
    for (const std::string& key : std::exchange(queue_, {})) CloseQuestion(key);
    return;
  }
  if (answers_.size() >= kMaxAnswers) answers_.clear();
  answers_.insert_or_assign(std::move(answer.key), Answer{std::move(answer.environment), until});
}

void EnvironmentCache::CloseQuestion(const std::string& key) {
  const auto question = questions_.extract(key);
  if (!question.empty()) answered_.merge(question.mapped().jobs);
}

}  // namespace riseml::scheduler
