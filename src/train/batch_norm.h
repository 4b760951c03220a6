#pragma once
// Running statistics of batch norms, counted again.

#include "train/network.h"
#include "train/sensitivity.h"

namespace disco::train {

/// Sets the running means and variances of all batch norms to their averages over `batches`, as the network
/// feeds them now. Without batch norms, nothing happens.
[[nodiscard]] Status recalibrate_batch_norm(const Network& network, const Batches& batches);

}  // namespace disco::train
