// Comes before each generated source of a unity build. Every one defines `schemas` and `file_default_instances`; here
// they get names of their own, made of RISEML_FILE, which CMake defines anew for each source.
#pragma once

// These use the two names too, so they are read before the names change.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/extension_set.h>
#include <google/protobuf/generated_message_reflection.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/reflection_ops.h>
#include <google/protobuf/wire_format.h>
#include <grpcpp/grpcpp.h>

#define RISEML_PASTE_(a, b) a##b
#define RISEML_PASTE(a, b) RISEML_PASTE_(a, b)
#define schemas RISEML_PASTE(schemas_, RISEML_FILE)
#define file_default_instances RISEML_PASTE(file_default_instances_, RISEML_FILE)
