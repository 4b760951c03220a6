#include "zoo/builder.h"
#include "zoo/families.h"

namespace disco {

Graph build_mobilenet_v2(std::uint64_t seed) {
  // expansion, channels, repeats, stride of the first: table 2 of the paper.
  constexpr std::int64_t kBlocks[7][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                          {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  GraphBuilder b("mobilenetv2", seed);
  ValueId x = b.input("input", {{-1, "N"}, {3, {}}, {224, {}}, {224, {}}});
  const ValueId zero = b.scalar("zero", 0.0F);
  const ValueId six = b.scalar("six", 6.0F);
  const auto relu6 = [&](const std::string& name, ValueId y) { return b.op(name, "Clip", {y, zero, six}); };
  x = relu6("features.0.relu6",
            b.batch_norm("features.0.bn",
                         b.conv("features.0.conv", x, 3, 32, {.kernel = 3, .stride = 2, .padding = 1}), 32));
  std::int64_t channels = 32;
  int index = 1;
  for (const auto& [expansion, width, repeats, first_stride] : kBlocks) {
    for (std::int64_t r = 0; r < repeats; ++r, ++index) {
      const std::string name = "features." + std::to_string(index);
      const std::int64_t stride = r == 0 ? first_stride : 1;
      const std::int64_t hidden = channels * expansion;
      ValueId y = x;
      if (expansion != 1) {
        y = relu6(
            name + ".expand.relu6",
            b.batch_norm(name + ".expand.bn", b.conv(name + ".expand", y, channels, hidden, {}), hidden));
      }
      y = b.conv(name + ".depthwise", y, hidden, hidden,
                 {.kernel = 3, .stride = stride, .padding = 1, .groups = hidden});
      y = relu6(name + ".depthwise.relu6", b.batch_norm(name + ".depthwise.bn", y, hidden, 1.4));
      const bool residual = stride == 1 && channels == width;
      y = b.batch_norm(name + ".project.bn", b.conv(name + ".project", y, hidden, width, {}), width,
                       residual ? 0.4 : 1.0);
      x = residual ? b.add(name + ".add", x, y) : y;
      channels = width;
    }
  }
  x = relu6("features.18.relu6",
            b.batch_norm("features.18.bn", b.conv("features.18.conv", x, channels, 1280, {}), 1280));
  x = b.op("flatten", "Flatten", {b.op("avgpool", "GlobalAveragePool", {x})}, {{"axis", std::int64_t{1}}});
  x = b.gemm("classifier", x, 1280, 1000, std::sqrt(1.0 / 1280.0));
  return b.finish(x, "logits", {{-1, "N"}, {1000, {}}});
}

}  // namespace disco
