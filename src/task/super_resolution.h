#pragma once
// Enlarged images from a network's outputs, and how good they are.

#include <memory>

#include "task/metric.h"

namespace disco {

/// The image that a model answers with: 0 to task.pixels.white becomes 0..255, cut off and rounded, as it
/// would be looked at. One channel becomes grey.
///
/// @param height, width  of the tensor that the model was given; the image is task.scale times larger
/// @return InvalidModel where the output is not [batch, 1 or 3, H, W] of that size, Unsupported where it is
/// not
///         floating
[[nodiscard]] Result<Image> read_image_answer(const Task& task, const NamedTensors& outputs,
                                              std::int64_t sample, std::int64_t batch, int height, int width);

/// A plane of samples, 0..255.
struct Plane {
  int width = 0, height = 0;
  std::vector<double> samples{};
};

/// Luma as MATLAB's rgb2ycbcr defines it, BT.601 in 16..235, not rounded.
[[nodiscard]] Plane studio_luma(const Image& image);

/// 10 log10(255^2 / mean square difference), in dB; kMostPsnr for planes that do not differ.
/// @pre sizes are alike and not empty
inline constexpr double kMostPsnr = 100.0;
[[nodiscard]] double psnr(const Plane& a, const Plane& b);

/// Mean structural similarity (Wang et al. 2004): a Gaussian window of 11 x 11 with sigma 1.5, K = 0.01 and
/// 0.03, over windows that lie inside.
/// @pre sizes are alike, at least 11 x 11
[[nodiscard]] double ssim(const Plane& a, const Plane& b);

/// As papers measure it, the mean over images: "psnr" and "ssim" of luma, `task.scale` pixels left out at
/// each border, and "rgb_psnr" of all channels where the answers have colours. Images too small for a window
/// have no part in ssim.
[[nodiscard]] std::unique_ptr<Metric> make_super_resolution_metric(const Task& task);

/// 1 - the root mean square difference, of 1; 0 where sizes differ.
[[nodiscard]] double agreement(const Image& a, const Image& b);

}  // namespace disco
