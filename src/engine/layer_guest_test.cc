#include "engine/layer_guest.h"

#include <cerrno>

#include <gtest/gtest.h>

#include "engine/task/file_call.h"

namespace pyro::engine {
namespace {

TEST(LayerGuestTest, AContradictionOfALayerIsItsMakers) {
  const Error error = ExplainLayer(FileCallError(ENOENT, "/etc/absent"), 3);
  EXPECT_EQ(error.code, ErrorCode::kDataLoss);
  EXPECT_EQ(error.message,
            "layer 3 of the image cannot be unpacked: /etc/absent: No such file or directory");
  EXPECT_EQ(ExplainLayer(FileCallError(EPROTO, "/"), 1).code, ErrorCode::kDataLoss);
  EXPECT_EQ(ExplainLayer(FileCallError(ELOOP, "/a"), 1).code, ErrorCode::kDataLoss);
}

TEST(LayerGuestTest, AFullDiskIsNoFaultOfTheImage) {
  EXPECT_EQ(ExplainLayer(FileCallError(ENOSPC, "/a"), 1).code, ErrorCode::kNoSpace);
}

TEST(LayerGuestTest, WhatTheGuestAloneIsToBlameForStaysAsItIs) {
  EXPECT_EQ(ExplainLayer(FileCallError(EIO, "/a"), 1).code, ErrorCode::kGuestUnavailable);
  const Error gone = MakeError(ErrorCode::kGuestUnavailable, "the VM ended");
  EXPECT_EQ(ExplainLayer(gone, 1).message, "the VM ended");
  EXPECT_EQ(ExplainLayer(MakeError(ErrorCode::kCancelled, "cancelled"), 1).code,
            ErrorCode::kCancelled);
}

}  // namespace
}  // namespace pyro::engine
