#include "zoo/zoo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "zoo/families.h"

namespace disco {

std::vector<std::string_view> zoo_names() {
  return {"resnet18", "resnet50", "mobilenetv2", "deit-tiny", "deit-small"};
}

Result<Graph> zoo(std::string_view name, const ZooOptions& options) {
  if (name == "resnet18") return build_resnet(18, options.seed);
  if (name == "resnet50") return build_resnet(50, options.seed);
  if (name == "mobilenetv2") return build_mobilenet_v2(options.seed);
  if (name == "deit-tiny") return build_deit(192, 3, options.seed);
  if (name == "deit-small") return build_deit(384, 6, options.seed);
  return error(ErrorCode::InvalidArgument, "the zoo has no '{}'; it has {}", name,
               fmt::join(zoo_names(), ", "));
}

}  // namespace disco
