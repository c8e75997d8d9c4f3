// Git object ids (SHA-1) and how they are computed. Shared by gitsync and the client; needs OpenSSL only, not libgit2.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace riseml::git {

enum class ObjectKind { kBlob, kTree, kCommit };

absl::string_view Name(ObjectKind kind);  // "blob", "tree", "commit"

struct ObjectId {
  std::array<unsigned char, 20> bytes{};

  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;

  template <class H>
  friend H AbslHashValue(H state, const ObjectId& id) {
    return H::combine(std::move(state), id.bytes);
  }
};

// The 20 raw bytes; the view lives as long as the id.
absl::string_view Raw(const ObjectId& id);
std::string Hex(const ObjectId& id);

// Makes an id of 20 raw bytes or of 40 lower-case hex digits; absent for anything else.
std::optional<ObjectId> FromRaw(absl::string_view raw);
std::optional<ObjectId> FromHex(absl::string_view hex);

// Computes the id of one object after the other from pieces. Lives on one thread.
class ObjectHasher {
 public:
  ObjectHasher();
  ObjectHasher(ObjectHasher&&) noexcept;
  ObjectHasher& operator=(ObjectHasher&&) noexcept;
  ~ObjectHasher();

  // Begins an object of `size` bytes; drops an unfinished one.
  void Start(ObjectKind kind, std::int64_t size);
  void Update(absl::string_view piece);
  ObjectId Finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

ObjectId HashObject(ObjectKind kind, absl::string_view content);

}  // namespace riseml::git
