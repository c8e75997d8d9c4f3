# Third-party libraries, each from its Debian package (see packages.txt).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
# Its tar reader alone needs none of the dozen libraries that the shared one loads.
find_library(LibArchive_LIBRARY libarchive.a REQUIRED)
find_package(LibArchive REQUIRED)
find_library(Seccomp_LIBRARY libseccomp.a REQUIRED)  # programs of every attempt have it: no time to load
find_package(GTest CONFIG REQUIRED)
pkg_check_modules(PQXX REQUIRED IMPORTED_TARGET libpqxx)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(GIT2 REQUIRED IMPORTED_TARGET libgit2)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)

# google/rpc/*.proto, plain files of a Debian package.
set(GOOGLEAPIS_PROTO_DIR /usr/share/gocode/src/github.com/gogo/googleapis)

# riseml_absl: all of Abseil's libraries; riseml_protobuf: protobuf; riseml_grpc: gRPC with both. Static archives start a process in 4 ms
# instead of 15 and keep its idle memory 5 MB smaller; sanitizer builds take the shared ones.
add_library(riseml_absl INTERFACE)
add_library(riseml_protobuf INTERFACE)
add_library(riseml_grpc INTERFACE)
file(GLOB ABSL_ARCHIVES ${CMAKE_LIBRARY_PATH} /usr/lib/*/libabsl_*.a)
list(FILTER ABSL_ARCHIVES EXCLUDE REGEX "(flags|_test|log_internal)")
if(RISEML_STATIC_GRPC)
  find_library(Protobuf_ARCHIVE libprotobuf.a REQUIRED)
  find_library(Zlib_ARCHIVE libz.a REQUIRED)
  target_link_libraries(riseml_protobuf INTERFACE ${Protobuf_ARCHIVE} ${Zlib_ARCHIVE} Threads::Threads)
  target_link_libraries(riseml_absl INTERFACE -Wl,--start-group ${ABSL_ARCHIVES} -Wl,--end-group Threads::Threads)
  target_link_libraries(riseml_grpc INTERFACE
    -Wl,-Bstatic,--start-group -lgrpc++ -lgrpc -lgpr -laddress_sorting -lre2 -lupb -lcares -lz -lprotobuf
    ${ABSL_ARCHIVES} -lssl -lcrypto -Wl,--end-group,-Bdynamic Threads::Threads dl
    # libcurl and libpq bring an OpenSSL of their own: what they call must not be found in ours, of which only a part is linked.
    -Wl,--exclude-libs,ALL)
else()
  target_link_libraries(riseml_protobuf INTERFACE protobuf::libprotobuf)
  target_link_libraries(riseml_absl INTERFACE absl::status absl::statusor absl::strings absl::time absl::cord
    absl::flat_hash_map absl::str_format absl::synchronization absl::random_random Threads::Threads)
  target_link_libraries(riseml_grpc INTERFACE gRPC::grpc++ protobuf::libprotobuf riseml_absl
    OpenSSL::SSL OpenSSL::Crypto)
endif()

# riseml_rdkafka: the client of Kafka. Its archive uses the OpenSSL of gRPC's archives: a process must not have two of them.
add_library(riseml_rdkafka INTERFACE)
if(RISEML_STATIC_GRPC)
  find_library(RdKafka_LIBRARY librdkafka.a REQUIRED)
  find_library(Lz4_LIBRARY liblz4.so.1 REQUIRED)
  find_library(Sasl2_LIBRARY libsasl2.so.2 REQUIRED)
  target_link_libraries(riseml_rdkafka INTERFACE ${RdKafka_LIBRARY} riseml_grpc PkgConfig::ZSTD ${Lz4_LIBRARY} ${Sasl2_LIBRARY} m)
else()
  pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)
  target_link_libraries(riseml_rdkafka INTERFACE PkgConfig::RDKAFKA)
endif()
