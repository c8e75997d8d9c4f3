// The client of registries against Debian's docker-registry. skopeo, which shares no code with us, judges the images.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/archive/testing.h"
#include "services/common/oci/append.h"
#include "services/common/oci/copy.h"
#include "services/common/oci/curl_http.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/registry.h"
#include "services/common/oci/testing/registry_server.h"

namespace riseml::oci {
namespace {

using ::testing::HasSubstr;

std::string Temporary() { return std::filesystem::temp_directory_path().string(); }

// Output of a program that must succeed.
std::string Output(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, got);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return out;
}

class RegistryContractTest : public ::testing::Test {
 protected:
  RegistryContractTest() : http_({.private_hosts = {server_.host()}}), registry_(Client({})) {}

  Registry Client(RegistryOptions options) {
    options.host = server_.host();
    options.plain_http = true;
    return Registry(http_, clock_, std::move(options));
  }

  // Uploads a tar as a layer.
  Layer Put(Registry& registry, const std::string& repository, const std::string& tar,
            Compression compression = Compression::kGzip) {
    const std::unique_ptr<LayerWriter> writer = LayerWriter::Create(Temporary(), compression).value();
    EXPECT_TRUE(writer->Write(tar).ok());
    const Layer layer = writer->Finish(LayerType(kOciManifest, compression).value()).value();
    const absl::Status put = registry.PutBlob(repository, layer.descriptor.digest, writer->Content());
    EXPECT_TRUE(put.ok()) << put;
    return layer;
  }

  // Writes an image with one layer.
  Image PutBase(const std::string& repository) {
    const Layer layer = Put(registry_, repository, MakeTar({{.name = "etc/hello", .content = "base\n"}}));
    Image image;
    image.config_bytes =
        absl::StrCat(R"({"os":"linux","architecture":"amd64","config":{"Env":["PATH=/bin"]},"rootfs":)",
                     R"({"type":"layers","diff_ids":[")", layer.diff_id, R"("]}})");
    image.manifest = {
        std::string(kOciManifest),
        {std::string(kOciConfig), DigestOf(image.config_bytes), static_cast<std::int64_t>(image.config_bytes.size())},
        {layer.descriptor}};
    image.manifest_bytes = ToJson(image.manifest);
    const absl::StatusOr<Descriptor> written = WriteImage(registry_, repository, "1", image);
    EXPECT_TRUE(written.ok()) << written.status();
    image.descriptor = *written;
    return image;
  }

  testing::RegistryServer server_;
  SystemClock clock_;
  CurlHttp http_;
  Registry registry_;
};

TEST_F(RegistryContractTest, AnImageWithCodeOnTopIsOneForOthersToo) {
  PutBase("base/python");
  const absl::StatusOr<Image> base = ReadImage(registry_, "base/python", "1", {"linux", "amd64", ""});
  ASSERT_TRUE(base.ok()) << base.status();
  const Layer code =
      Put(registry_, "ann/digits", MakeTar({{.name = "code/train.py", .content = "print(1)\n"}}), Compression::kZstd);
  const absl::StatusOr<Image> image =
      AppendLayers(*base, {code}, {.working_dir = "/code", .created_by = "code of revision 7"});
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_TRUE(
      CopyLayers(base->manifest, {registry_, "base/python"}, {registry_, "ann/digits"}, {Temporary(), {}}).ok());
  const absl::StatusOr<Descriptor> written = WriteImage(registry_, "ann/digits", "7", *image);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*written, image->descriptor);
  EXPECT_EQ(registry_.FindManifest("ann/digits", "7").value(), *written);

  const std::string name = absl::StrCat("docker://", server_.host(), "/ann/digits:7");
  const nlohmann::json seen = nlohmann::json::parse(Output(absl::StrCat("skopeo inspect --tls-verify=false ", name)));
  EXPECT_EQ(seen["Digest"], written->digest);
  EXPECT_EQ(seen["Layers"].size(), 2U);
  EXPECT_EQ(seen["Layers"][1], code.descriptor.digest);
  const std::string copy = Temporary() + "/riseml-oci-copy-" + std::to_string(getpid());
  Output(absl::StrCat("skopeo copy --quiet --src-tls-verify=false ", name, " dir:", copy, " >/dev/null"));
  EXPECT_TRUE(std::filesystem::exists(copy + "/" + code.descriptor.digest.substr(7)));
  std::filesystem::remove_all(copy);
}

TEST_F(RegistryContractTest, BlobsAreFoundSharedAndRead) {
  const std::string content(3 << 20, 'b');
  const Descriptor blob{"", DigestOf(content), static_cast<std::int64_t>(content.size())};
  EXPECT_FALSE(registry_.HasBlob("a", blob.digest).value());
  EXPECT_FALSE(registry_.MountBlob("b", blob.digest, "a").value()) << "there is nothing to share";
  ASSERT_TRUE(registry_.PutBlob("a", blob.digest, SourceOf(content)).ok());
  EXPECT_TRUE(registry_.HasBlob("a", blob.digest).value());
  EXPECT_FALSE(registry_.HasBlob("b", blob.digest).value());
  EXPECT_TRUE(registry_.MountBlob("b", blob.digest, "a").value());
  EXPECT_EQ(registry_.GetBlob("b", blob).value(), content);
  EXPECT_EQ(registry_.GetBlob("c", blob).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RegistryContractTest, UploadsInPieces) {
  Registry registry = Client({.chunk_bytes = 1 << 20});
  std::string content;
  for (int i = 0; i < 500'000; ++i) content += std::to_string(i);
  const Descriptor blob{"", DigestOf(content), static_cast<std::int64_t>(content.size())};
  const absl::Status put = registry.PutBlob("a", blob.digest, SourceOf(content));
  ASSERT_TRUE(put.ok()) << put;
  EXPECT_EQ(registry.GetBlob("a", blob).value(), content);
}

TEST_F(RegistryContractTest, RefusesContentOfAnotherDigest) {
  const absl::Status put = registry_.PutBlob("a", DigestOf("something else"), SourceOf("content"));
  EXPECT_EQ(put.code(), absl::StatusCode::kInvalidArgument) << put;
  EXPECT_THAT(std::string(put.message()), HasSubstr("upload the blob a@sha256:"));
}

TEST_F(RegistryContractTest, ListsAndDeletesManifests) {
  const Image image = PutBase("a");
  for (const char* tag : {"2", "3"}) ASSERT_TRUE(WriteImage(registry_, "a", tag, image).ok());
  EXPECT_THAT(registry_.ListTags("a", 10).value(), ::testing::UnorderedElementsAre("1", "2", "3"));
  EXPECT_TRUE(registry_.ListTags("absent", 10)->empty());
  EXPECT_THAT(registry_.ListRepositories(10).value(), ::testing::Contains("a"));
  ASSERT_TRUE(registry_.DeleteManifest("a", image.descriptor.digest).ok());
  EXPECT_EQ(registry_.FindManifest("a", "2").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(registry_.DeleteManifest("a", image.descriptor.digest).ok()) << "what is gone may be deleted";
}

TEST_F(RegistryContractTest, CopiesFromAnotherRegistry) {
  testing::RegistryServer other;
  const Image image = PutBase("a");
  CurlHttp both({.private_hosts = {server_.host(), other.host()}});
  Registry target(both, clock_, {.host = other.host(), .plain_http = true});
  std::size_t done = 0;
  const absl::Status copied = CopyLayers(image.manifest, {registry_, "a"}, {target, "mirror/a"},
                                         {Temporary(), [&done](std::size_t layers, std::int64_t) { done = layers; }});
  ASSERT_TRUE(copied.ok()) << copied;
  EXPECT_EQ(done, 1U);
  EXPECT_TRUE(WriteImage(target, "mirror/a", "1", image).ok());
}

TEST_F(RegistryContractTest, RefusesPrivateAddressesThatAreNotListed) {
  CurlHttp strict({});
  Registry registry(strict, clock_, {.host = server_.host(), .plain_http = true});
  const absl::Status refused = registry.HasBlob("a", DigestOf("x")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("private address"));
}

TEST_F(RegistryContractTest, SaysThatNobodyListens) {
  CurlHttp http({.private_hosts = {"127.0.0.1:1"}});
  Registry registry(http, clock_,
                    {.host = "127.0.0.1:1", .plain_http = true, .tries = 2, .first_pause = absl::Milliseconds(1)});
  const absl::Status away = registry.HasBlob("a", DigestOf("x")).status();
  EXPECT_TRUE(absl::IsUnavailable(away));
  EXPECT_THAT(std::string(away.message()), HasSubstr("cannot reach 127.0.0.1:1"));
}

TEST(RegistryWithPassword, IsUsedWithItsCredentialOnly) {
  // "ann" with the password "secret", hashed by bcrypt.
  testing::RegistryServer server("htpasswd: {realm: test, path: FILE}",
                                 "ann:$2b$05$4PIYxrBWAwVmUgqupXZYN.tmAzo3o3FShbSx2DBwKqIfsXen7uDbS\n");
  SystemClock clock;
  CurlHttp http({.private_hosts = {server.host()}});
  const auto status = [&](std::optional<Credential> credential) {
    Registry registry(http, clock, {.host = server.host(), .plain_http = true, .credential = std::move(credential)});
    return registry.PutBlob("a", DigestOf("x"), SourceOf("x")).code();
  };
  EXPECT_EQ(status(std::nullopt), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(status(Credential{"ann", "wrong"}), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(status(Credential{"ann", "secret"}), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace riseml::oci
