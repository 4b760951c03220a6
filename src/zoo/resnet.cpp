#include "zoo/builder.h"
#include "zoo/families.h"

namespace disco {

Graph build_resnet(int depth, std::uint64_t seed) {
  const bool bottleneck = depth == 50;
  const std::int64_t blocks[4] = {bottleneck ? 3 : 2, bottleneck ? 4 : 2, bottleneck ? 6 : 2,
                                  bottleneck ? 3 : 2};
  const std::int64_t expansion = bottleneck ? 4 : 1;
  GraphBuilder b("resnet" + std::to_string(depth), seed);
  ValueId x = b.input("input", {{-1, "N"}, {3, {}}, {224, {}}, {224, {}}});
  x = b.conv("conv1", x, 3, 64, {.kernel = 7, .stride = 2, .padding = 3});
  x = b.relu("relu", b.batch_norm("bn1", x, 64));
  x = b.op("maxpool", "MaxPool", {x},
           {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints(4, 1)}});
  std::int64_t channels = 64;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t width = std::int64_t{64} << stage;
    for (std::int64_t block = 0; block < blocks[stage]; ++block) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const ValueId identity = x;
      ValueId y = x;
      // The last scale of a branch is small, as in training, so that the trunk does not grow with depth.
      constexpr double kBranchGain = 0.3;
      if (bottleneck) {
        y = b.relu(name + ".relu1",
                   b.batch_norm(name + ".bn1", b.conv(name + ".conv1", y, channels, width, {}), width));
        y = b.conv(name + ".conv2", y, width, width, {.kernel = 3, .stride = stride, .padding = 1});
        y = b.relu(name + ".relu2", b.batch_norm(name + ".bn2", y, width));
        y = b.batch_norm(name + ".bn3", b.conv(name + ".conv3", y, width, width * 4, {}), width * 4,
                         kBranchGain);
      } else {
        y = b.conv(name + ".conv1", y, channels, width, {.kernel = 3, .stride = stride, .padding = 1});
        y = b.relu(name + ".relu1", b.batch_norm(name + ".bn1", y, width));
        y = b.conv(name + ".conv2", y, width, width, {.kernel = 3, .padding = 1});
        y = b.batch_norm(name + ".bn2", y, width, kBranchGain);
      }
      ValueId shortcut = identity;
      if (channels != width * expansion || stride != 1) {
        shortcut = b.conv(name + ".downsample.0", identity, channels, width * expansion, {.stride = stride});
        shortcut = b.batch_norm(name + ".downsample.1", shortcut, width * expansion, 0.7);
      }
      channels = width * expansion;
      x = b.relu(name + ".relu", b.add(name + ".add", y, shortcut));
    }
  }
  x = b.op("flatten", "Flatten", {b.op("avgpool", "GlobalAveragePool", {x})}, {{"axis", std::int64_t{1}}});
  x = b.gemm("fc", x, channels, 1000, std::sqrt(1.0 / static_cast<double>(channels)));
  return b.finish(x, "logits", {{-1, "N"}, {1000, {}}});
}

Graph build_cifar_resnet(int depth, std::uint64_t seed) {
  GraphBuilder b("cifar-resnet" + std::to_string(depth), seed);
  ValueId x = b.input("input", {{-1, "N"}, {3, {}}, {32, {}}, {32, {}}});
  x = b.conv("conv1", x, 3, 16, {.kernel = 3, .padding = 1});
  x = b.relu("relu", b.batch_norm("bn1", x, 16));
  std::int64_t channels = 16;
  for (int stage = 0; stage < 3; ++stage) {
    const std::int64_t width = std::int64_t{16} << stage;
    for (int block = 0; block < (depth - 2) / 6; ++block) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      ValueId y = b.conv(name + ".conv1", x, channels, width, {.kernel = 3, .stride = stride, .padding = 1});
      y = b.relu(name + ".relu1", b.batch_norm(name + ".bn1", y, width));
      y = b.conv(name + ".conv2", y, width, width, {.kernel = 3, .padding = 1});
      y = b.batch_norm(name + ".bn2", y, width, 0.5);
      ValueId shortcut = x;
      if (channels != width) {
        shortcut = b.conv(name + ".downsample.0", x, channels, width, {.stride = stride});
        shortcut = b.batch_norm(name + ".downsample.1", shortcut, width, 0.7);
      }
      channels = width;
      x = b.relu(name + ".relu", b.add(name + ".add", y, shortcut));
    }
  }
  x = b.op("flatten", "Flatten", {b.op("avgpool", "GlobalAveragePool", {x})}, {{"axis", std::int64_t{1}}});
  x = b.gemm("fc", x, channels, 10, std::sqrt(1.0 / static_cast<double>(channels)));
  return b.finish(x, "logits", {{-1, "N"}, {10, {}}});
}

}  // namespace disco
