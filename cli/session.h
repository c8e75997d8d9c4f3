// One run of the program: its output, its configuration, its connection. Nothing is opened before it is asked for.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/client/connection.h"
#include "cli/client/interrupts.h"
#include "cli/render/status_view.h"
#include "cli/render/terminal.h"
#include "services/common/base/clock.h"

namespace riseml::cli {

// Options that stand before the command.
struct Globals {
  std::string context;  // empty: the current one
  bool verbose = false;
};

// Lives on the main thread.
class Session {
 public:
  explicit Session(Globals globals);

  const Terminal& out() const { return out_; }
  const Terminal& err() const { return err_; }
  absl::Time Now() const { return clock_.Now(); }
  const Globals& globals() const { return globals_; }

  // Writes to standard output. The first failure is kept, later text dropped.
  void Print(absl::string_view text);
  const absl::Status& output_status() const { return output_status_; }

  // Writes to standard error.
  void Tell(absl::string_view text) const;

  // Reads the configuration. Errors say how to get one.
  absl::StatusOr<ClientConfig> Config() const;

  // Handles Ctrl-C from the first call on, which must come before there are other threads.
  absl::StatusOr<Interrupts*> Signals();

  // The connection to the configured cluster; the caller's name is known.
  absl::StatusOr<Connection*> Connect();

  Viewer viewer() const;

 private:
  Globals globals_;
  SystemClock clock_;
  Terminal out_, err_;
  absl::Status output_status_;
  std::unique_ptr<Interrupts> interrupts_;
  std::optional<Connection> connection_;
};

}  // namespace riseml::cli
