#include "zoo/families.h"

namespace disco {

Map image_input(GraphBuilder& b, const Settings& settings) {
  const auto extent = [](std::int64_t pixels, const char* symbol) {
    return pixels > 0 ? Dimension{pixels, {}} : Dimension{-1, symbol};
  };
  const ValueId value =
      b.input("input", {{-1, "N"}, {3, {}}, extent(settings.rows, "H"), extent(settings.columns, "W")});
  return {value, 3, settings.rows, settings.columns};
}

Map conv_bn_relu(GraphBuilder& b, const std::string& name, const Map& x, std::int64_t out,
                 const ConvOptions& options) {
  Map y = b.conv(name + ".conv", x, out, options);
  y.value = b.relu(name + ".relu", b.batch_norm(name + ".bn", y.value, out));
  return y;
}

std::vector<Map> resnet_trunk(GraphBuilder& b, const Map& image, const ResNetTrunk& options) {
  const bool bottleneck = options.depth == 50;
  const std::int64_t blocks[4] = {bottleneck ? 3 : 2, bottleneck ? 4 : 2, bottleneck ? 6 : 2,
                                  bottleneck ? 3 : 2};
  const std::int64_t expansion = bottleneck ? 4 : 1;
  const std::int64_t stem = scaled(64, options.width);
  Map x = b.conv("conv1", image, stem, {.kernel = 7, .stride = 2, .padding = 3});
  x.value = b.relu("relu", b.batch_norm("bn1", x.value, stem));
  x.value = b.op("maxpool", "MaxPool", {x.value},
                 {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints(4, 1)}});
  x.rows = (x.rows - 1) / 2 + 1;
  x.columns = (x.columns - 1) / 2 + 1;

  std::vector<Map> maps;
  std::int64_t stride_so_far = 4;
  std::int64_t dilation = 1;
  for (int stage = 0; stage < options.stages; ++stage) {
    const std::int64_t width = scaled(std::int64_t{64} << stage, options.width);
    // The first block of a stage whose stride is taken out still sees the dilation before it.
    const std::int64_t first_dilation = dilation;
    std::int64_t stage_stride = stage > 0 ? 2 : 1;
    if (stride_so_far * stage_stride > options.stride) {
      if (options.dilate) dilation *= stage_stride;
      stage_stride = 1;
    }
    stride_so_far *= stage_stride;
    for (std::int64_t block = 0; block < blocks[stage]; ++block) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      const std::int64_t stride = block == 0 ? stage_stride : 1;
      const std::int64_t d = block == 0 ? first_dilation : dilation;
      const ConvOptions spatial{.kernel = 3, .stride = stride, .padding = d, .dilation = d};
      Map y = x;
      // The last scale of a branch is small, as in training, so that the trunk does not grow with depth.
      constexpr double kBranchGain = 0.3;
      if (bottleneck) {
        y = b.conv(name + ".conv1", y, width, {});
        y.value = b.relu(name + ".relu1", b.batch_norm(name + ".bn1", y.value, width));
        y = b.conv(name + ".conv2", y, width, spatial);
        y.value = b.relu(name + ".relu2", b.batch_norm(name + ".bn2", y.value, width));
        y = b.conv(name + ".conv3", y, width * 4, {});
        y.value = b.batch_norm(name + ".bn3", y.value, width * 4, kBranchGain);
      } else {
        y = b.conv(name + ".conv1", y, width, spatial);
        y.value = b.relu(name + ".relu1", b.batch_norm(name + ".bn1", y.value, width));
        y = b.conv(name + ".conv2", y, width, {.kernel = 3, .padding = 1});
        y.value = b.batch_norm(name + ".bn2", y.value, width, kBranchGain);
      }
      ValueId shortcut = x.value;
      if (x.channels != width * expansion || stride != 1) {
        shortcut = b.conv(name + ".downsample.0", x.value, x.channels, width * expansion, {.stride = stride});
        shortcut = b.batch_norm(name + ".downsample.1", shortcut, width * expansion, 0.7);
      }
      x = y;
      x.value = b.relu(name + ".relu", b.add(name + ".add", y.value, shortcut));
    }
    maps.push_back(x);
  }
  return maps;
}

Graph build_resnet(int depth, const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const Map x = resnet_trunk(b, image_input(b, settings), {.depth = depth, .width = settings.width}).back();
  const ValueId pooled = b.op("avgpool", "GlobalAveragePool", {x.value});
  const ValueId flat = b.op("flatten", "Flatten", {pooled}, {{"axis", std::int64_t{1}}});
  const double deviation = std::sqrt(1.0 / static_cast<double>(x.channels));
  return b.finish(b.gemm("fc", flat, x.channels, settings.classes, deviation), "logits",
                  {{-1, "N"}, {settings.classes, {}}});
}

Graph build_cifar_resnet(int depth, const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const std::int64_t stem = scaled(16, settings.width);
  ValueId x = b.conv("conv1", image_input(b, settings).value, 3, stem, {.kernel = 3, .padding = 1});
  x = b.relu("relu", b.batch_norm("bn1", x, stem));
  std::int64_t channels = stem;
  for (int stage = 0; stage < 3; ++stage) {
    const std::int64_t width = scaled(std::int64_t{16} << stage, settings.width);
    for (int block = 0; block < (depth - 2) / 6; ++block) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      ValueId y = b.conv(name + ".conv1", x, channels, width, {.kernel = 3, .stride = stride, .padding = 1});
      y = b.relu(name + ".relu1", b.batch_norm(name + ".bn1", y, width));
      y = b.conv(name + ".conv2", y, width, width, {.kernel = 3, .padding = 1});
      y = b.batch_norm(name + ".bn2", y, width, 0.5);
      ValueId shortcut = x;
      if (channels != width || stride != 1) {
        shortcut = b.conv(name + ".downsample.0", x, channels, width, {.stride = stride});
        shortcut = b.batch_norm(name + ".downsample.1", shortcut, width, 0.7);
      }
      channels = width;
      x = b.relu(name + ".relu", b.add(name + ".add", y, shortcut));
    }
  }
  x = b.op("flatten", "Flatten", {b.op("avgpool", "GlobalAveragePool", {x})}, {{"axis", std::int64_t{1}}});
  x = b.gemm("fc", x, channels, settings.classes, std::sqrt(1.0 / static_cast<double>(channels)));
  return b.finish(x, "logits", {{-1, "N"}, {settings.classes, {}}});
}

}  // namespace disco
