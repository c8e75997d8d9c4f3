// SHA-256 digests as OCI writes them: "sha256:" and 64 lower-case hex digits.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace riseml::oci {

// True for "sha256:" and 64 lower-case hex digits.
bool IsDigest(absl::string_view text);

// Computes a digest piece by piece. Lives on one thread.
class Digester {
 public:
  Digester();
  void Update(absl::string_view bytes);
  // Returns the digest of everything so far, "sha256:…". Must be called once, as the last function.
  std::string Finish();

 private:
  struct FreeContext {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, FreeContext> context_;
};

std::string DigestOf(absl::string_view bytes);

}  // namespace riseml::oci
