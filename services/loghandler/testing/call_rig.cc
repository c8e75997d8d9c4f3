// Producers that ship to a whole log handler over gRPC, as `riseml-agent ship` does.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/certificates.h"
#include "services/loghandler/loghandler.h"
#include "services/loghandler/testing/fake_api.h"
#include "services/loghandler/testing/source_rig.h"
#include "services/loghandler/testing/test_client.h"
#include "services/loghandler/testing/test_options.h"

namespace riseml::loghandler {
namespace {

constexpr char kRigRoot[] = "users/paul/experiments/14";
constexpr std::int64_t kPieceBytes = 20'000;

struct Range {
  std::int64_t first = 0, length = 0;
};

// One producer: its records to send and the answers it got. Survives restarts of the log handler. Thread-safe.
struct Shipment {
  Mutex mu;
  std::condition_variable_any changed;
  std::deque<Range> script ABSL_GUARDED_BY(mu);
  std::int64_t printed ABSL_GUARDED_BY(mu) = 0;  // by the script so far
  bool ended ABSL_GUARDED_BY(mu) = false;
  std::int64_t acknowledged ABSL_GUARDED_BY(mu) = 0;
  bool complete ABSL_GUARDED_BY(mu) = false;
};

// Ships one log in calls one after the other: the script at first, and whatever the server asks for.
class Producer {
 public:
  Producer(v1::LogService::Stub& stub, StreamId id, const std::string& log, Shipment& shipment)
      : stub_(stub), id_(std::move(id)), log_(log), shipment_(shipment) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested() && !RunCall(stop)) {
      MutexLock lock(shipment_.mu);
      shipment_.changed.wait_for(shipment_.mu, stop, std::chrono::milliseconds(5), [] { return false; });
    }
  }

  // True when the log is complete.
  bool RunCall(const std::stop_token& stop) {
    TestShipper shipper(stub_, FakeApi::TokenOf(id_));
    std::stop_callback cancel(stop, [&shipper] { shipper.Cancel(); });
    const auto begin = shipper.Answer();
    if (!begin) return false;
    Note(*begin);
    {
      MutexLock lock(shipment_.mu);
      back_to_ = begin->expected_offset();
      over_ = false;
    }
    std::jthread reader([&] { ReadAnswers(shipper, *begin); });
    while (const auto next = Next(stop)) {
      if (next->length > 0) {
        shipper.Send(ZstdBlock(next->first, absl::string_view(log_).substr(next->first, next->length)));
      } else {
        shipper.SendEnd(static_cast<std::int64_t>(log_.size()));
      }
    }
    reader.join();
    shipper.Finish().IgnoreError();
    MutexLock lock(shipment_.mu);
    return shipment_.complete;
  }

  void ReadAnswers(TestShipper& shipper, const v1::IngestResponse& begin) {
    std::int64_t last = begin.expected_offset();
    while (const auto answer = shipper.Answer()) {
      Note(*answer);
      if (answer->expected_offset() != std::exchange(last, answer->expected_offset()) || answer->complete()) continue;
      MutexLock lock(shipment_.mu);  // the same again: go back
      back_to_ = last;
      shipment_.changed.notify_all();
    }
    MutexLock lock(shipment_.mu);
    over_ = true;
    shipment_.changed.notify_all();
  }

  void Note(const v1::IngestResponse& answer) {
    MutexLock lock(shipment_.mu);
    shipment_.acknowledged = std::max(shipment_.acknowledged, answer.expected_offset());
    shipment_.complete = shipment_.complete || answer.complete();
    shipment_.changed.notify_all();
  }

  // What to send next; length 0: the end. Nothing when the call is over.
  std::optional<Range> Next(const std::stop_token& stop) {
    MutexLock lock(shipment_.mu);
    while (true) {
      if (over_ || stop.stop_requested()) return std::nullopt;
      if (back_to_.has_value()) {
        const std::int64_t first = *back_to_;
        const std::int64_t length = std::min(kPieceBytes, shipment_.printed - first);
        if (length > 0) {
          back_to_ = first + length;
          return Range{first, length};
        }
        back_to_.reset();
        if (shipment_.script.empty() && shipment_.ended) return Range{};
      }
      if (!shipment_.script.empty()) {
        const Range range = shipment_.script.front();
        shipment_.script.pop_front();
        shipment_.printed = std::max(shipment_.printed, range.first + range.length);
        return range;
      }
      shipment_.changed.wait(shipment_.mu, stop, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(shipment_.mu) {
        return over_ || back_to_.has_value() || !shipment_.script.empty();
      });
    }
  }

  v1::LogService::Stub& stub_;
  const StreamId id_;
  const std::string& log_;
  Shipment& shipment_;
  std::optional<std::int64_t> back_to_ ABSL_GUARDED_BY(shipment_.mu);
  bool over_ ABSL_GUARDED_BY(shipment_.mu) = false;
  std::jthread thread_;
};

class CallRig final : public SourceRig {
 public:
  CallRig() {
    EXPECT_TRUE(rpc::WriteCertificates(dir_.path(), {"api", "loghandler"}, clock_.Now()).ok());
    api_ = std::make_unique<FakeApi>(dir_.path());
    api_->AddUser("key");
    api_->AddRoot(kRigRoot, "key");
  }
  ~CallRig() override { Stop(); }

  StreamId Add(const std::string& log) override {
    const StreamId id = api_->AddStream(kRigRoot, absl::StrCat("train", logs_.size()));
    logs_[id] = log;
    if (stub_ != nullptr) Produce(id);
    return id;
  }
  void Send(const StreamId& id, std::int64_t first, std::int64_t length) override { Script(id, {first, length}); }
  void SendEnd(const StreamId& id) override { Script(id, {}); }

  void Start() override {
    LogHandlerOptions options;
    options_.dir = data_dir();
    options_.disk = disk_;
    options.store = options_;
    SetConnections(options, dir_.path(), api_->address());
    metrics_ = std::make_unique<prometheus::Registry>();
    auto handler = LogHandler::Start(options, clock_, *metrics_);
    ASSERT_TRUE(handler.ok()) << handler.status();
    handler_ = *std::move(handler);
    stub_ = v1::LogService::NewStub(
        rpc::UserChannel(absl::StrCat("127.0.0.1:", handler_->port()), *ReadFile(dir_.path() + "/ca.crt", 1 << 20)));
    for (const auto& [id, log] : logs_) Produce(id);
  }
  void Stop() override {
    producers_.clear();
    stub_.reset();
    handler_.reset();
  }

  void AwaitDurable(const StreamId& id, std::int64_t bytes) override {
    Shipment& shipment = shipments_[id];
    MutexLock lock(shipment.mu);
    shipment.changed.wait(shipment.mu,
                          [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(shipment.mu) { return shipment.acknowledged >= bytes; });
  }
  bool AwaitComplete() override {
    for (auto& [id, shipment] : shipments_) {
      MutexLock lock(shipment.mu);
      while (!shipment.complete) {
        if (disk_->crashed()) return false;
        shipment.changed.wait_for(shipment.mu, std::chrono::milliseconds(2));
      }
    }
    return true;
  }

  void ExpectNoPromiseIsBroken(Store& store) override {
    for (auto& [id, shipment] : shipments_) {
      const auto stream = store.Get(id);
      ASSERT_TRUE(stream.ok()) << stream.status();
      MutexLock lock(shipment.mu);
      EXPECT_GE((*stream)->state().durable_offset, shipment.acknowledged);
      EXPECT_TRUE(!shipment.complete || (*stream)->state().complete);
    }
  }

 private:
  void Script(const StreamId& id, Range range) {
    Shipment& shipment = shipments_[id];
    MutexLock lock(shipment.mu);
    shipment.script.push_back(range);
    if (range.length == 0) shipment.ended = true;
    shipment.changed.notify_all();
  }
  void Produce(const StreamId& id) { producers_.emplace_back(*stub_, id, logs_.at(id), shipments_[id]); }

  std::unique_ptr<FakeApi> api_;
  std::unique_ptr<prometheus::Registry> metrics_;
  std::unique_ptr<LogHandler> handler_;
  std::unique_ptr<v1::LogService::Stub> stub_;
  std::map<StreamId, Shipment> shipments_;
  std::list<Producer> producers_;
};

}  // namespace

std::unique_ptr<SourceRig> MakeCallRig() { return std::make_unique<CallRig>(); }

}  // namespace riseml::loghandler
