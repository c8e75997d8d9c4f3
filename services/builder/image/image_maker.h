// Puts code on top of images, through the registry alone: no layer of the base image is downloaded.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/builder/image/code_layers.h"
#include "services/common/base/mutex.h"
#include "services/common/oci/append.h"
#include "services/common/oci/layer.h"
#include "services/common/oci/registry.h"

namespace riseml::builder {

struct ImageRequest {
  std::string base_repository, base_digest;  // of the same registry; a manifest, not an index
  std::string repository;                    // where the image with the code goes
  CodeRevision code;
};

// Remembers the last values, by key. Thread-safe.
template <class Value>
class Recent {
 public:
  explicit Recent(std::size_t most) : most_(most) {}
  std::optional<Value> Find(const std::string& key) {
    MutexLock lock(mu_);
    const auto found = values_.find(key);
    return found == values_.end() ? std::nullopt : std::optional<Value>(found->second);
  }
  void Remember(const std::string& key, const Value& value) {
    MutexLock lock(mu_);
    if (!values_.emplace(key, value).second) return;
    order_.push_back(key);
    if (order_.size() <= most_) return;
    values_.erase(order_.front());
    order_.pop_front();
  }

 private:
  const std::size_t most_;
  Mutex mu_;
  std::map<std::string, Value> values_ ABSL_GUARDED_BY(mu_);
  std::deque<std::string> order_ ABSL_GUARDED_BY(mu_);  // the oldest first
};

// Thread-safe. What was made is remembered, as neither commits nor digests change; losing it costs time only.
class ImageMaker {
 public:
  // All must outlive this object. `spool_directory` holds a layer while it is sent.
  ImageMaker(oci::Registry& registry, CodeLayers& code, std::string spool_directory);

  // Returns the manifest of the image of a revision: the base, the code below /code, /code as its working directory.
  // Equal requests give equal images, and so do revisions with equal code. An image that is there already costs one
  // call of the registry; a layer that is there is not sent. Errors: those of Registry and CodeLayers; NOT_FOUND when
  // the base is gone; INVALID_ARGUMENT when it has too many layers; DISK_FULL.
  absl::StatusOr<oci::Descriptor> Make(const ImageRequest& request, const std::stop_token& stop = {});

 private:
  using Layers = std::vector<internal::v1::CodeLayer>;
  absl::StatusOr<Layers> LayersOf(const CodeRevision& revision);
  absl::StatusOr<oci::Image> BaseOf(const ImageRequest& request, const std::stop_token& stop);
  // Makes and sends the layers, all at once: there are at most four.
  absl::StatusOr<std::vector<oci::Layer>> PutLayers(const ImageRequest& request, const Layers& parts,
                                                    const std::string& manifest_type, const std::stop_token& stop);
  absl::StatusOr<oci::Layer> PutLayer(const ImageRequest& request, const internal::v1::CodeLayer& part,
                                      const std::string& manifest_type, const std::stop_token& stop);

  oci::Registry& registry_;
  CodeLayers& code_;
  const std::string spool_directory_;
  Recent<Layers> revisions_;
  Recent<oci::Image> bases_;
  Recent<oci::Layer> layers_;  // by id of the code layer and media type
};

}  // namespace riseml::builder
