#pragma once
// One function a family; the names, and which settings each of them has, are in zoo.cpp.

#include <cstdint>
#include <string>
#include <vector>

#include "zoo/builder.h"

namespace disco {

/// All settings; a family reads those that it has.
struct Settings {
  std::string name;                    ///< of the graph
  std::int64_t rows = 0, columns = 0;  ///< of the input; 0: open
  double width = 1.0;                  ///< channels, as a factor
  std::int64_t classes = 0;            ///< a detector's without background
  std::int64_t blocks = 0;             ///< transformer layers, or residual dense blocks
  std::int64_t patch = 0;              ///< pixels a side
  std::int64_t stride = 0;             ///< of the finest map that heads or ASPP see
  std::uint64_t seed = 1;
};

// Classifiers.
[[nodiscard]] Graph build_resnet(int depth, const Settings& settings);  ///< 18 or 50; He et al. 2015
/// For small images, depth 6n + 2; He et al. 2015, section 4.2, with projections as shortcuts.
[[nodiscard]] Graph build_cifar_resnet(int depth, const Settings& settings);
[[nodiscard]] Graph build_mobilenet_v2(const Settings& settings);  ///< Sandler et al. 2018
/// Touvron et al. 2021. `channels` before scaling; distilled: with the distillation token and the mean of
/// both heads.
[[nodiscard]] Graph build_deit(int channels, int heads, bool distilled, const Settings& settings);

/// Liu et al. 2016, over ResNet-50 up to its third stage, whose stride is taken out, with the extra layers
/// and heads of NVIDIA's DeepLearningExamples (PyTorch/Detection/SSD).
[[nodiscard]] Graph build_ssd_resnet50(const Settings& settings);
/// The same over MobileNetV2 with separable heads, as qfgaohao/pytorch-ssd's mb2-ssd-lite.
[[nodiscard]] Graph build_ssd_mobilenet_v2(const Settings& settings);

/// Chen et al. 2018, as VainF/DeepLabV3Plus-Pytorch: atrous trunk, ASPP with a pooled branch, and a decoder
/// that adds the map of stride 4.
[[nodiscard]] Graph build_deeplab_resnet50(const Settings& settings);
[[nodiscard]] Graph build_deeplab_mobilenet_v2(const Settings& settings);

/// RRDBNet of Wang et al. 2018 (xinntao/ESRGAN), four times larger; 64 features and 32 of growth before
/// scaling.
[[nodiscard]] Graph build_esrgan(const Settings& settings);
/// Its adversary in training, as xinntao/BasicSR's VGGStyleDiscriminator: how real each image looks.
[[nodiscard]] Graph build_esrgan_discriminator(const Settings& settings);

// Trunks.

struct ResNetTrunk {
  int depth = 50;
  double width = 1.0;
  int stages = 4;
  std::int64_t stride = 32;  ///< of the last map: where it is reached, later strides are taken out …
  bool dilate = true;        ///< … and kernels are dilated instead
};
/// The stages' outputs.
[[nodiscard]] std::vector<Map> resnet_trunk(GraphBuilder& b, const Map& image, const ResNetTrunk& options);

struct MobileNetTrunk {
  double width = 1.0;
  std::int64_t stride = 32;  ///< as above, always dilated
  bool pad_first = false;    ///< zeros are added before a block's expansion, as VainF's code does
  bool last = true;          ///< with the last pointwise convolution
};
struct MobileNetMaps {
  std::vector<Map> features;  ///< torchvision's features.0, features.1 …
  std::vector<Map> expanded;  ///< each block's map after its expansion
};
[[nodiscard]] MobileNetMaps mobilenet_trunk(GraphBuilder& b, const Map& image, const MobileNetTrunk& options);

/// Convolution, batch normalisation, relu6.
[[nodiscard]] Map conv_bn_relu6(GraphBuilder& b, const std::string& name, const Map& x, std::int64_t out,
                                const ConvOptions& options, double gain = 1.0);
[[nodiscard]] Map conv_bn_relu(GraphBuilder& b, const std::string& name, const Map& x, std::int64_t out,
                               const ConvOptions& options);

/// The graph's image input.
[[nodiscard]] Map image_input(GraphBuilder& b, const Settings& settings);

}  // namespace disco
