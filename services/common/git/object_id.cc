#include "services/common/git/object_id.h"

#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace riseml::git {

absl::string_view Name(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kBlob:
      return "blob";
    case ObjectKind::kTree:
      return "tree";
    case ObjectKind::kCommit:
      return "commit";
  }
  return "";
}

absl::string_view Raw(const ObjectId& id) { return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()}; }

std::string Hex(const ObjectId& id) { return absl::BytesToHexString(Raw(id)); }

std::optional<ObjectId> FromRaw(absl::string_view raw) {
  ObjectId id;
  if (raw.size() != id.bytes.size()) return std::nullopt;
  std::copy(raw.begin(), raw.end(), id.bytes.begin());
  return id;
}

std::optional<ObjectId> FromHex(absl::string_view hex) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (hex.size() != 40 || !std::all_of(hex.begin(), hex.end(), is_digit)) return std::nullopt;
  return FromRaw(absl::HexStringToBytes(hex));
}

void ObjectHasher::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

ObjectHasher::ObjectHasher() : context_(EVP_MD_CTX_new()) {}
ObjectHasher::ObjectHasher(ObjectHasher&&) noexcept = default;
ObjectHasher& ObjectHasher::operator=(ObjectHasher&&) noexcept = default;
ObjectHasher::~ObjectHasher() = default;

void ObjectHasher::Start(ObjectKind kind, std::int64_t size) {
  EVP_DigestInit_ex(context_.get(), EVP_sha1(), nullptr);
  // The header ends with its NUL.
  Update(absl::StrCat(Name(kind), " ", size, absl::string_view("\0", 1)));
}

void ObjectHasher::Update(absl::string_view piece) { EVP_DigestUpdate(context_.get(), piece.data(), piece.size()); }

ObjectId ObjectHasher::Finish() {
  ObjectId id;
  EVP_DigestFinal_ex(context_.get(), id.bytes.data(), nullptr);
  return id;
}

ObjectId HashObject(ObjectKind kind, absl::string_view content) {
  ObjectHasher hasher;
  hasher.Start(kind, static_cast<std::int64_t>(content.size()));
  hasher.Update(content);
  return hasher.Finish();
}

}  // namespace riseml::git
