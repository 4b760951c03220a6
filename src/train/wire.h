#pragma once
// The quantised wire: scales from samples, and training that feels the rounding.

#include "partition/partition.h"
#include "train/masks.h"
#include "train/sensitivity.h"

namespace disco::train {

/// Writes the wire formats of all exchanged values into `partition`: their ranges over the batches for UInt8,
/// with zero always inside so that padding stays exact.
///
/// @param network   with the weights that will be deployed
/// @param progress  called after each batch with the number done; may be empty
[[nodiscard]] Status calibrate_wire(const Network& network, const Batches& batches, const Traffic& traffic,
                                    DataType wire, Partition& partition,
                                    const std::function<void(std::size_t)>& progress);

/// Makes every linear map of `network` read what comes from other ranks as the wire would bring it, rounded
/// to `wire` over the batch's own range; gradients pass as if nothing were rounded (Bengio et al. 2013). Each
/// such map then takes two products in place of one.
void simulate_wire(Network& network, const Traffic& traffic, DataType wire);

}  // namespace disco::train
