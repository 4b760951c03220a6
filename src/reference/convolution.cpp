// Conv, ConvTranspose, ConvInteger.

#include "reference/registry.h"

namespace disco::reference {

void register_convolution(Registry& /*registry*/) {}

}  // namespace disco::reference
