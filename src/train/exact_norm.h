#pragma once
// The model that node-local normalisations stand for, over the same graph.

#include "train/network.h"

namespace disco::train {

/// Where `network` normalises parts of the channels apart (see localise_norms()), makes it normalise all of
/// them together instead, with the parts' scales and shifts.
void normalise_exactly(Network& network, const Weights& weights);

}  // namespace disco::train
