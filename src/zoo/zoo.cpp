#include "zoo/zoo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "zoo/families.h"

namespace disco {

std::vector<std::string_view> zoo_names() {
  return {"resnet18",   "resnet50",      "mobilenetv2",    "deit-tiny",
          "deit-small", "cifar-resnet8", "cifar-resnet20", "cifar-resnet56"};
}

Result<Graph> zoo(std::string_view name, const ZooOptions& options) {
  if (name == "resnet18") return build_resnet(18, options.seed);
  if (name == "resnet50") return build_resnet(50, options.seed);
  if (name == "mobilenetv2") return build_mobilenet_v2(options.seed);
  if (name == "deit-tiny") return build_deit(192, 3, options.seed);
  if (name == "deit-small") return build_deit(384, 6, options.seed);
  if (name == "cifar-resnet8") return build_cifar_resnet(8, options.seed);
  if (name == "cifar-resnet20") return build_cifar_resnet(20, options.seed);
  if (name == "cifar-resnet56") return build_cifar_resnet(56, options.seed);
  return error(ErrorCode::InvalidArgument, "the zoo has no '{}'; it has {}", name,
               fmt::join(zoo_names(), ", "));
}

}  // namespace disco
