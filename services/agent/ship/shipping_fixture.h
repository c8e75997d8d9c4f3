// A shipper and the attempt that it ships.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/ship/shipper.h"
#include "services/agent/testing.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"

namespace riseml::agent::testing {

class ShippingTest : public ::testing::Test {
 protected:
  ShippingTest() : dir_(directory_.path()) {
    for (const std::string& file : {dir_.log(), dir_.results(), dir_.journal()}) WriteAll(file, "");
    options_.first_backoff = absl::Milliseconds(10);
    options_.longest_backoff = absl::Milliseconds(50);
  }
  ~ShippingTest() override { StopShipping(); }

  void Print(const std::string& text) {
    const UniqueFd fd = *OpenFile(dir_.log(), O_WRONLY | O_APPEND);
    ASSERT_TRUE(riseml::WriteAll(fd.get(), text).ok());
    printed_ += text;
  }
  void End() {
    internal::v1::AttemptEnded ended;
    ended.set_final_offset(static_cast<std::int64_t>(printed_.size()));
    ASSERT_TRUE(EndJournal(dir_.journal(), ended).ok());
  }

  void StartShipper(std::unique_ptr<LogTransport> transport, ReportResults report) {
    transport_ = std::move(transport);
    const ReportBacklog note = [this](const std::optional<Backlog>& backlog) {
      MutexLock lock(mu_);
      backlogs_.push_back(backlog);
      return absl::OkStatus();
    };
    shipper_ = std::make_unique<Shipper>(dir_, *OpenFile(dir_.log(), O_RDWR), *transport_,
                                         ApiCalls{std::move(report), note}, options_, clock_);
    thread_ = std::jthread([this](std::stop_token stop) { status_ = shipper_->Run(stop); });
  }
  // As kill -9 would: without saving anything.
  void StopShipping() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
    shipper_.reset();
  }
  void WaitForShipper() {
    thread_.join();
    shipper_.reset();
    EXPECT_TRUE(status_.ok()) << status_;
  }

  // Returns the backlog that api shows.
  std::optional<Backlog> ShownBacklog() {
    MutexLock lock(mu_);
    return backlogs_.empty() ? std::nullopt : backlogs_.back();
  }
  std::size_t BacklogReportCount() {
    MutexLock lock(mu_);
    return backlogs_.size();
  }

  TemporaryDirectory directory_;
  const AttemptDir dir_;
  const SystemClock clock_{};
  ShipperOptions options_;
  std::string printed_;
  std::unique_ptr<LogTransport> transport_;
  std::unique_ptr<Shipper> shipper_;
  absl::Status status_;
  std::jthread thread_;

 private:
  Mutex mu_;
  std::vector<std::optional<Backlog>> backlogs_ ABSL_GUARDED_BY(mu_);  // as they were reported
};

}  // namespace riseml::agent::testing
