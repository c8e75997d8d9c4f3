#include "services/api/watch/watchers.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/api/scheduling/log_store.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

// Responses that carry many items stay far below the message limit; a larger item travels alone.
constexpr std::size_t kBytesPerResponse = 1 << 20;

// Maximum number of experiments or jobs in one batch of a listing.
constexpr std::ptrdiff_t kPiece = 500;
constexpr std::int64_t kPieceBytes = 4 << 20;

// The position of a watcher in the feed, and the changes behind it.
class Cursor {
 public:
  // `everything`: the first call without a token; the watcher then needs the whole state.
  struct Changes {
    bool everything = false;
    bool more = false;  // there are more rows
    std::vector<sql::FeedRow> rows;
  };

  Cursor(WatchCache& feed, std::string resume_token) : feed_(feed), resume_token_(std::move(resume_token)) {}

  // `root_uid`: only changes below it; empty: all.
  absl::StatusOr<Changes> Next(const std::string& root_uid = "") {
    if (!started_ && !resume_token_.empty()) {
      RISEML_ASSIGN_OR_RETURN(place_.position, sql::ParseFeedPosition(resume_token_));
      RISEML_RETURN_IF_ERROR(feed_.CheckReached(place_.position));
      started_ = true;
    }
    Changes changes;
    if (!started_) {
      // The position is taken before the tables are read: changes in between are sent twice rather than not at all.
      place_ = feed_.Newest();
      started_ = true;
      changes.everything = true;
      return changes;
    }
    RISEML_ASSIGN_OR_RETURN(WatchCache::News news, feed_.Since(place_, root_uid));
    place_ = news.place;
    changes.rows = std::move(news.rows);
    changes.more = news.more;
    return changes;
  }

  std::string Token() const { return sql::PrintFeedPosition(place_.position); }
  const sql::FeedPosition& position() const { return place_.position; }

 private:
  WatchCache& feed_;
  const std::string resume_token_;
  WatchCache::Place place_;
  bool started_ = false;
};

// UUIDs that changed below one root, each once, in the order of their first change.
struct ChangedBelow {
  bool all = false;
  std::vector<std::string> experiments, jobs;
};

ChangedBelow Below(const std::vector<sql::FeedRow>& rows, const std::string& root_uid) {
  ChangedBelow out;
  std::set<std::string> seen;
  for (const sql::FeedRow& row : rows) {
    if (row.root_uid != root_uid) continue;
    if (row.kind == "ALL") {
      out.all = true;
    } else if (seen.insert(row.uid).second) {
      (row.kind == "JOB" ? out.jobs : out.experiments).push_back(row.uid);
    }
  }
  return out;
}

bool HasEnded(const v1::Experiment& experiment) {
  return experiment.state() == v1::Experiment::FINISHED || experiment.state() == v1::Experiment::FAILED ||
         experiment.state() == v1::Experiment::KILLED;
}

// Removes the first uids, at most `most`, and returns them.
std::vector<std::string> TakePiece(std::deque<std::string>* left, std::ptrdiff_t most) {
  const auto end = left->begin() + std::min(std::ssize(*left), most);
  std::vector<std::string> piece(left->begin(), end);
  left->erase(left->begin(), end);
  return piece;
}

class ExperimentSource {
 public:
  ExperimentSource(Database& db, Recheck recheck, ViewOptions options, rpc::Call call,
                   v1::WatchExperimentRequest request)
      : db_(db),
        recheck_(std::move(recheck)),
        options_(std::move(options)),
        call_(std::move(call)),
        request_(std::move(request)),
        cursor_(db.feed(), request_.resume_token()) {}

  absl::StatusOr<WatchBatch<v1::WatchExperimentResponse>> operator()() {
    // Checks the caller each time: the key may have been revoked, or its user's role may have changed.
    RISEML_ASSIGN_OR_RETURN(call_.caller, recheck_(call_));
    if (listing_)
      return db_.Snapshot("watch experiment", [&](pqxx::work& tx) -> absl::StatusOr<Batch> {
        RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call_, request_.name()));
        return LoadPiece(tx, key);
      });
    RISEML_ASSIGN_OR_RETURN(const Cursor::Changes changes, cursor_.Next(root_uid_));
    // Nothing has changed below the root: a sign of life needs no transaction.
    if (!root_uid_.empty() && changes.rows.empty()) return Finish({.more = changes.more});
    return db_.Snapshot("watch experiment", [&](pqxx::work& tx) { return Load(tx, changes); });
  }

 private:
  using Batch = WatchBatch<v1::WatchExperimentResponse>;

  // Uids still to be sent: of a full list or of changes.
  struct Listing {
    std::deque<std::string> jobs, experiments;
    std::ptrdiff_t piece = kPiece;  // jobs at a time
    bool is_change = false;         // then a small number is sent at once
    bool tells_synced = false;
    bool more = false;  // later changes are known already
  };

  absl::StatusOr<Batch> Load(pqxx::work& tx, const Cursor::Changes& changes) {
    RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call_, request_.name()));
    root_uid_ = key.root_uid;
    ChangedBelow changed = Below(changes.rows, key.root_uid);
    listing_ = changes.everything || changed.all ? ListAll(tx, key) : ListChanged(changed, key);
    listing_->tells_synced = changes.everything;
    listing_->more = changes.more;
    if (listing_->jobs.size() > 1) listing_->piece = PieceOf(tx, key);
    return LoadPiece(tx, key);
  }

  // Each job carries its commands, which can be up to 1 MiB for all jobs of a root.
  static std::ptrdiff_t PieceOf(pqxx::work& tx, const ExperimentKey& key) {
    const auto bytes = sql::QueryRow(tx, "SELECT octet_length(spec) FROM experiments WHERE uid = $1", key.root_uid)[0]
                           .as<std::int64_t>();
    return std::clamp<std::ptrdiff_t>(kPieceBytes / std::max<std::int64_t>(bytes, 1), 1, kPiece);
  }

  // The end of the followed experiment is visible once committed. Changes that led to it may come later in the feed
  // than this watch has read, and readers stop at the end.
  void AddWhatLedHere(pqxx::work& tx, const ExperimentKey& key, Batch* batch) {
    const ChangedBelow missed = Below(sql::ReadFeedOf(tx, key.root_uid, cursor_.position()), key.root_uid);
    batch->end = !missed.all;  // if all has changed, everything is sent anew first
    AddJobs(tx, key, missed.jobs, batch);
    if (!HasChildren(key)) return;
    for (v1::Experiment& e : LoadExperiments(tx, missed.experiments, false, options_))
      if (e.uid() != key.uid) *batch->responses.emplace_back().mutable_experiment() = std::move(e);
  }

  // A child lists only its own jobs, and so does a set without its children.
  Listing ListAll(pqxx::work& tx, const ExperimentKey& key) {
    const bool whole = HasChildren(key);
    Listing listing;
    const auto jobs = whole ? JobUidsBelow(tx, key.root_uid) : JobUidsOf(tx, key.uid);
    listing.jobs.assign(jobs.begin(), jobs.end());
    const auto experiments = whole ? ExperimentUidsOf(tx, key.uid) : std::vector<std::string>{key.uid};
    // The followed experiment goes last, so that readers see its end last.
    for (const std::string& uid : experiments)
      if (uid != key.uid) listing.experiments.push_back(uid);
    listing.experiments.push_back(key.uid);
    return listing;
  }

  static Listing ListChanged(const ChangedBelow& changed, const ExperimentKey& key) {
    Listing listing{.jobs = {changed.jobs.begin(), changed.jobs.end()},
                    .experiments = {changed.experiments.begin(), changed.experiments.end()},
                    .is_change = true};
    if (std::erase(listing.experiments, key.uid) > 0) listing.experiments.push_back(key.uid);
    return listing;
  }

  absl::StatusOr<Batch> LoadPiece(pqxx::work& tx, const ExperimentKey& key) {
    Batch batch = {.more = true};
    const bool few =
        listing_->is_change && std::ssize(listing_->jobs) + std::ssize(listing_->experiments) <= listing_->piece;
    const bool only_experiments = listing_->jobs.empty();
    AddJobs(tx, key, TakePiece(&listing_->jobs, listing_->piece), &batch);
    if (few || only_experiments) AddExperiments(tx, key, TakePiece(&listing_->experiments, kPiece), &batch);
    // No token yet: a reader that resumed from it would miss the rest.
    if (!listing_->jobs.empty() || !listing_->experiments.empty()) return batch;
    batch.more = listing_->more;
    if (listing_->tells_synced) batch.responses.emplace_back().mutable_synced();
    listing_.reset();
    return Finish(std::move(batch));
  }

  bool HasChildren(const ExperimentKey& key) const { return key.uid == key.root_uid && !request_.without_children(); }

  void AddJobs(pqxx::work& tx, const ExperimentKey& key, const std::vector<std::string>& uids, Batch* batch) {
    const std::string own = Print(key.name);
    for (v1::Job& job : LoadJobs(tx, uids, false))
      if (HasChildren(key) || Print(ParseJobName(job.name())->experiment) == own)
        *batch->responses.emplace_back().mutable_job() = std::move(job);
  }

  // Adds the followed experiment last.
  void AddExperiments(pqxx::work& tx, const ExperimentKey& key, const std::vector<std::string>& uids, Batch* batch) {
    std::optional<v1::Experiment> followed;
    for (v1::Experiment& e : LoadExperiments(tx, uids, false, options_)) {
      if (e.uid() == key.uid)
        followed = std::move(e);
      else if (HasChildren(key))
        *batch->responses.emplace_back().mutable_experiment() = std::move(e);
    }
    if (!followed) return;
    if (HasEnded(*followed)) AddWhatLedHere(tx, key, batch);
    *batch->responses.emplace_back().mutable_experiment() = *std::move(followed);
  }

  Batch Finish(Batch batch) {
    if (batch.responses.empty()) batch.responses.emplace_back();
    batch.responses.back().set_resume_token(cursor_.Token());
    batch.root_uid = root_uid_;
    return batch;
  }

  Database& db_;
  const Recheck recheck_;
  const ViewOptions options_;
  rpc::Call call_;
  const v1::WatchExperimentRequest request_;
  Cursor cursor_;
  std::string root_uid_;  // empty until known
  std::optional<Listing> listing_;
};

// Distributes items over responses of bounded size.
template <class Response, class Item, class Add>
void Pack(std::vector<Item>& items, std::vector<Response>& responses, Add add) {
  std::size_t in_response = 0;
  for (Item& item : items) {
    const std::size_t bytes = item.ByteSizeLong();
    if (responses.empty() || in_response + bytes > kBytesPerResponse) {
      responses.emplace_back();
      in_response = 0;
    }
    add(responses.back(), std::move(item));
    in_response += bytes;
  }
}

// Returns the UUIDs of all changed jobs that scheduler and loghandler may see; all of a root if its row says so.
std::vector<std::string> ChangedJobs(pqxx::work& tx, const std::vector<sql::FeedRow>& rows) {
  std::set<std::string> jobs;
  for (const sql::FeedRow& row : rows) {
    if (row.kind == "JOB") jobs.insert(row.uid);
    if (row.kind == "ALL")
      for (std::string& uid : ReleasedJobUidsBelow(tx, row.root_uid)) jobs.insert(std::move(uid));
  }
  return {jobs.begin(), jobs.end()};
}

// Source of the responses of a WatchWork stream. Reads changes in pieces, so that a set of any size takes little
// memory.
class WorkSource {
 public:
  using Response = internal::v1::WatchWorkResponse;

  WorkSource(Database& db, const AttemptTokens& tokens, const internal::v1::WatchWorkRequest& request)
      : db_(db), tokens_(tokens), cursor_(db.feed(), request.resume_token()) {}

  absl::StatusOr<WatchBatch<Response>> operator()() {
    return db_.Read("watch work", [&](pqxx::work& tx) -> absl::StatusOr<WatchBatch<Response>> {
      if (!reading_) RISEML_RETURN_IF_ERROR(Begin(tx));
      return LoadPiece(tx);
    });
  }

 private:
  struct Reading {
    std::deque<std::string> jobs;  // not read yet
    bool synced = false, more = false;
  };

  absl::Status Begin(pqxx::work& tx) {
    RISEML_ASSIGN_OR_RETURN(const Cursor::Changes changes, cursor_.Next());
    const std::vector<std::string> uids =
        changes.everything ? WaitingAndLiveJobUids(tx) : ChangedJobs(tx, changes.rows);
    reading_ = {.jobs = {uids.begin(), uids.end()}, .synced = changes.everything, .more = changes.more};
    return absl::OkStatus();
  }

  WatchBatch<Response> LoadPiece(pqxx::work& tx) {
    WatchBatch<Response> batch = {.more = true};
    const std::vector<std::string> piece = TakePiece(&reading_->jobs, kPiece);
    std::vector<internal::v1::Work> work;
    if (!piece.empty()) work = LoadWork(tx, piece, tokens_);
    Pack(work, batch.responses,
         [](auto& response, internal::v1::Work item) { *response.add_work() = std::move(item); });
    if (!reading_->jobs.empty()) return batch;  // no token: a reader that resumed would miss the rest
    if (batch.responses.empty()) batch.responses.emplace_back();
    batch.responses.back().set_synced(reading_->synced);
    batch.responses.back().set_resume_token(cursor_.Token());
    batch.more = reading_->more;
    reading_.reset();
    return batch;
  }

  Database& db_;
  const AttemptTokens& tokens_;
  Cursor cursor_;
  std::optional<Reading> reading_;
};

}  // namespace

Watch<v1::WatchExperimentResponse>::Fill ExperimentWatcher(Database& db, Recheck recheck, const ViewOptions& options,
                                                           const rpc::Call& call,
                                                           const v1::WatchExperimentRequest& request) {
  auto source = std::make_shared<ExperimentSource>(db, std::move(recheck), options, call, request);
  return [source] { return (*source)(); };
}

Watch<internal::v1::WatchWorkResponse>::Fill WorkWatcher(Database& db, const AttemptTokens& tokens,
                                                         const internal::v1::WatchWorkRequest& request) {
  auto source = std::make_shared<WorkSource>(db, tokens, request);
  return [source] { return (*source)(); };
}

Watch<internal::v1::WatchStreamsResponse>::Fill StreamWatcher(Database& db,
                                                              const internal::v1::WatchStreamsRequest& request) {
  auto cursor = std::make_shared<Cursor>(db.feed(), request.resume_token());
  return [cursor, &db]() -> absl::StatusOr<WatchBatch<internal::v1::WatchStreamsResponse>> {
    RISEML_ASSIGN_OR_RETURN(const Cursor::Changes changes, cursor->Next());
    return db.Read(
        "watch streams", [&](pqxx::work& tx) -> absl::StatusOr<WatchBatch<internal::v1::WatchStreamsResponse>> {
          WatchBatch<internal::v1::WatchStreamsResponse> batch = {.more = changes.more};
          const std::vector<std::string> uids = ChangedJobs(tx, changes.rows);
          std::vector<internal::v1::StreamInfo> streams;
          if (changes.everything || !uids.empty()) streams = LogStore::Load(tx, uids);
          Pack(streams, batch.responses,
               [](auto& response, internal::v1::StreamInfo item) { *response.add_streams() = std::move(item); });
          if (batch.responses.empty()) batch.responses.emplace_back();
          std::set<std::string> roots;
          for (const sql::FeedRow& row : changes.rows) roots.insert(row.root_uid);
          batch.responses.back().mutable_changed_roots()->Assign(roots.begin(), roots.end());
          batch.responses.back().set_synced(changes.everything);
          batch.responses.back().set_resume_token(cursor->Token());
          return batch;
        });
  };
}

Watch<internal::v1::WatchAccessResponse>::Fill AccessWatcher(WatchCache& feed, Authenticator& authenticator) {
  return [&feed, &authenticator]() -> absl::StatusOr<WatchBatch<internal::v1::WatchAccessResponse>> {
    RISEML_RETURN_IF_ERROR(feed.CheckOpen());
    // No change of an experiment concerns this watch: it is woken only together with all watchers.
    WatchBatch<internal::v1::WatchAccessResponse> batch = {.root_uid = "users"};
    batch.responses.emplace_back().set_generation(authenticator.generation());
    return batch;
  };
}

}  // namespace riseml::api
