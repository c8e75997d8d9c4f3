// Common part of the rigs of sources that seek: a partition that keeps what was sent, and a store that reads it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "services/loghandler/testing/source_rig.h"

namespace riseml::loghandler {

class SeekingRig : public SourceRig {
 public:
  StreamId Add(const std::string& log) override {
    const StreamId id{NewUuid(), 1};
    logs_[id] = log;
    return id;
  }
  void Send(const StreamId& id, std::int64_t first, std::int64_t length) override {
    internal::v1::LogRecord record = EmptyRecord(id);
    *record.mutable_block() = ZstdBlock(first, absl::string_view(logs_.at(id)).substr(first, length));
    Append(record);
    sent_.push_back(record);
  }
  void SendEnd(const StreamId& id) override {
    internal::v1::LogRecord record = EmptyRecord(id);
    record.mutable_end()->set_final_offset(static_cast<std::int64_t>(logs_.at(id).size()));
    Append(record);
    sent_.push_back(record);
  }

  void AwaitDurable(const StreamId& id, std::int64_t bytes) override {
    while ((*store_->Get(id))->state().durable_offset < bytes) std::this_thread::yield();
  }
  bool AwaitComplete() override {
    for (const auto& [id, log] : logs_) {
      while (!Complete(id)) {
        if (disk_->crashed()) return false;
        std::this_thread::yield();
      }
    }
    return true;
  }

 protected:
  // Writes a record at the end of the partition.
  virtual void Append(const internal::v1::LogRecord& record) = 0;

  void OpenStore() {
    options_.dir = data_dir();
    options_.disk = disk_;
    auto store = Store::Open(options_, clock_, metrics_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    core_ = std::make_unique<IngestCore>(*store_, metrics_);
  }

  // Checks that the records before `position` are durable in `store`.
  void ExpectStoredBefore(std::int64_t position, Store& store) const {
    for (std::int64_t i = 0; i < position; ++i) {
      const internal::v1::LogRecord& record = sent_[i];
      const auto stream = store.Get({record.job_uid(), record.attempt()});
      ASSERT_TRUE(stream.ok()) << stream.status();
      const StreamState state = (*stream)->state();
      if (record.has_block()) {
        EXPECT_GE(state.durable_offset, record.block().first_offset() + record.block().raw_length()) << i;
      } else {
        EXPECT_EQ(state.durable_offset, record.end().final_offset()) << i;
      }
    }
  }

  prometheus::Registry registry_;
  LogMetrics metrics_{registry_};
  std::unique_ptr<Store> store_;
  std::unique_ptr<IngestCore> core_;

 private:
  bool Complete(const StreamId& id) {
    const auto stream = store_->Get(id);
    return stream.ok() && (*stream)->state().complete;
  }

  std::vector<internal::v1::LogRecord> sent_;  // by position
};

}  // namespace riseml::loghandler
