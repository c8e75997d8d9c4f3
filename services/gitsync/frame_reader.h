// Parses the frames of a push. Treats all input as hostile until it is checked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "riseml/v1/file.pb.h"
#include "services/common/git/object_id.h"
#include "services/gitsync/limits.h"
#include "services/gitsync/repository/object_sink.h"

namespace riseml::gitsync {

// One object of a push.
struct PushedObject {
  git::ObjectKind kind = git::ObjectKind::kBlob;
  std::int64_t bytes = 0;
};
using PushedObjects = absl::flat_hash_map<git::ObjectId, PushedObject>;

// Lives on one thread. After an error it is of no further use.
class FrameReader {
 public:
  // `sink` outlives this.
  FrameReader(const Limits& limits, ObjectSink& sink) : limits_(limits), sink_(sink) {}

  // Takes a frame. INVALID_ARGUMENT if the frame breaks the rules of the proto or an object's content does not match
  // its id; LIMIT_EXCEEDED.
  absl::Status Add(const v1::PushFrame& frame);

  // Ends the push after its last frame. Returns an error if an object is unfinished.
  absl::Status Finish() const;

  const PushedObjects& objects() const { return objects_; }

 private:
  absl::Status AddPiece(const v1::ObjectPiece& piece, absl::string_view data);
  absl::Status BeginObject(const v1::ObjectPiece& piece);

  const Limits limits_;
  ObjectSink& sink_;
  std::string unpacked_;
  PushedObjects objects_;
  std::int64_t blob_bytes_ = 0;
  std::int64_t tree_bytes_ = 0;

  bool open_ = false;  // an object has begun and not ended
  git::ObjectId open_id_;
  PushedObject open_object_;
  std::int64_t received_ = 0;
};

}  // namespace riseml::gitsync
