#include "reference/registry.h"

namespace disco::reference {

const Registry& registry() {
  static const Registry all = [] {
    Registry made;
    register_elementwise(made);
    register_reduction(made);
    register_shape(made);
    register_indexing(made);
    register_control(made);
    register_linear(made);
    register_convolution(made);
    register_pooling(made);
    register_normalisation(made);
    register_image(made);
    register_detection(made);
    register_quantisation(made);
    register_disco(made);
    return made;
  }();
  return all;
}

}  // namespace disco::reference
