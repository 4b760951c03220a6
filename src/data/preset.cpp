#include "data/preset.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace disco {

namespace {

constexpr int kMostSide = 1 << 15;
constexpr std::int64_t kMostPixels = 400'000'000;  // also of the image that is resized along one axis only

/// The image's size after the resize, and where on it the window lies that becomes the tensor. Parts of the
/// window outside of the image are padding.
struct Geometry {
  PixelSize resized;
  PixelSize window;
  int top = 0, left = 0;
};

/// 224 at 0.875 is 256, whatever the division rounds to.
int before_crop(int extent, const std::optional<double>& ratio) {
  return static_cast<int>(std::floor(extent / ratio.value_or(1.0) + 1e-9));
}

/// `side` in proportion, cut off as torchvision does.
int proportional(int side, int to, int of) {
  return static_cast<int>(std::clamp<std::int64_t>(std::int64_t{side} * to / of, 1, kMostSide * 4));
}

/// How far the window begins inside of the image; negative where it begins outside.
int offset(int image, int window, Anchor anchor) {
  if (anchor == Anchor::Corner) return 0;
  // Halves go to the even number, as Python rounds, so that crops are torchvision's.
  if (image >= window) return static_cast<int>(std::nearbyint((image - window) / 2.0));
  return -((window - image) / 2);
}

Result<Geometry> place(PixelSize image, const Preset& preset, const ImageForm& form) {
  const bool resized_to_both = preset.resize && (preset.fit == Fit::Exact || preset.fit == Fit::Letterbox);
  const auto wanted = [&](int model, int PixelSize::*side) {
    if (model > 0) return model;
    if (preset.crop) return (*preset.crop).*side;
    return preset.default_size && !resized_to_both ? (*preset.default_size).*side : 0;
  };
  const PixelSize want{wanted(form.height, &PixelSize::height), wanted(form.width, &PixelSize::width)};
  Geometry g{image, want};
  switch (preset.fit) {
    case Fit::None: break;
    case Fit::Exact:
      if (preset.resize) {
        g.resized = *preset.resize;
      } else {
        if (want.height > 0) g.resized.height = want.height;
        if (want.width > 0) g.resized.width = want.width;
      }
      break;
    case Fit::Shorter: {
      if (!preset.resize && want.height == 0 && want.width == 0) {
        return error(
            ErrorCode::InvalidArgument,
            "the model takes images of any size; say how long the shorter side is to be: --resize N");
      }
      // Without a length of its own, the side that has to grow most covers the window.
      const bool by_height =
          preset.resize ? image.height <= image.width
                        : std::int64_t{want.height} * image.width >= std::int64_t{want.width} * image.height;
      if (by_height) {
        g.resized.height =
            preset.resize ? preset.resize->height : before_crop(want.height, preset.crop_ratio);
        g.resized.width = proportional(image.width, g.resized.height, image.height);
      } else {
        g.resized.width = preset.resize ? preset.resize->width : before_crop(want.width, preset.crop_ratio);
        g.resized.height = proportional(image.height, g.resized.width, image.width);
      }
      break;
    }
    case Fit::Letterbox: {
      const PixelSize box = preset.resize.value_or(want);
      if (box.height == 0 || box.width == 0) {
        return error(ErrorCode::InvalidArgument,
                     "the model takes images of any size; say into which they are to fit: --resize "
                     "HEIGHT,WIDTH");
      }
      const double factor = std::min(static_cast<double>(box.height) / image.height,
                                     static_cast<double>(box.width) / image.width);
      const auto fitted = [&](int side, int most) {
        return std::clamp(static_cast<int>(std::lround(side * factor)), 1, most);
      };
      g.resized = {fitted(image.height, box.height), fitted(image.width, box.width)};
      if (g.window.height == 0) g.window.height = box.height;
      if (g.window.width == 0) g.window.width = box.width;
      break;
    }
  }
  if (g.window.height == 0) g.window.height = g.resized.height;
  if (g.window.width == 0) g.window.width = g.resized.width;
  const auto too_large = [](int height, int width) { return std::int64_t{height} * width > kMostPixels; };
  if (std::max({g.resized.height, g.resized.width}) > kMostSide && g.resized != image) {
    return error(ErrorCode::InvalidArgument, "resizing to {} x {} pixels; no side may be over {}",
                 g.resized.height, g.resized.width, kMostSide);
  }
  if (too_large(image.height, g.resized.width) || too_large(g.resized.height, g.resized.width) ||
      too_large(g.window.height, g.window.width)) {
    return error(ErrorCode::InvalidArgument, "{} x {} pixels resized to {} x {} need too much memory",
                 image.height, image.width, g.resized.height, g.resized.width);
  }
  g.top = offset(g.resized.height, g.window.height, preset.anchor);
  g.left = offset(g.resized.width, g.window.width, preset.anchor);
  return g;
}

int channel_count(ChannelOrder order) { return order == ChannelOrder::Grey ? 1 : 3; }

double per_channel(const std::vector<double>& list, std::size_t channel) {
  return list.size() == 1 ? list.front() : list[channel];
}

/// ITU-R 601 luma, in Pillow's fixed point.
std::uint8_t luma(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

/// Element x of the table is what a pixel value x becomes; the last one is the padding's.
template <typename T>
std::vector<T> channel_table(const Preset& preset, std::size_t channel) {
  const double pad = per_channel(preset.pad, channel);
  std::vector<T> table(257);
  for (int x = 0; x <= 256; ++x) {
    const double pixel = x == 256 ? pad : x;
    if constexpr (std::is_same_v<T, float>) {
      table[static_cast<std::size_t>(x)] = static_cast<float>(
          (pixel * preset.scale - per_channel(preset.mean, channel)) / per_channel(preset.std, channel));
    } else {
      table[static_cast<std::size_t>(x)] = static_cast<T>(std::lround(std::clamp(pixel, 0.0, 255.0)));
    }
  }
  return table;
}

template <typename T>
Tensor fill(const Image& image, const Geometry& g, const Preset& preset, const ImageForm& form) {
  const auto channels = static_cast<std::size_t>(channel_count(form.channels));
  const auto height = static_cast<std::size_t>(g.window.height);
  const auto width = static_cast<std::size_t>(g.window.width);
  const bool planes = form.layout == ImageLayout::Nchw;
  const auto c = static_cast<std::int64_t>(channels);
  const Shape shape =
      planes ? Shape{c, g.window.height, g.window.width} : Shape{g.window.height, g.window.width, c};
  Tensor tensor(DataTypeOf<T>::value, shape);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const std::vector<T> table = channel_table<T>(preset, channel);
    const std::size_t source = form.channels == ChannelOrder::Bgr ? 2 - channel : channel;
    T* to = tensor.data<T>() + (planes ? channel * height * width : channel);
    const std::size_t step = planes ? 1 : channels;
    for (int y = g.top; y < g.top + g.window.height; ++y) {
      for (int x = g.left; x < g.left + g.window.width; ++x, to += step) {
        if (y < 0 || y >= image.height || x < 0 || x >= image.width) {
          *to = table[256];
          continue;
        }
        const std::uint8_t* pixel =
            image.rgb.data() + (static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) +
                                static_cast<std::size_t>(x)) *
                                   3;
        *to = table[form.channels == ChannelOrder::Grey ? luma(pixel) : pixel[source]];
      }
    }
  }
  return tensor;
}

std::string describe(const std::string& input, DataType type, const std::optional<Shape>& shape) {
  std::string extents;
  for (const std::int64_t extent : shape.value_or(Shape{}))
    extents += fmt::format("{}{}", extents.empty() ? "" : ", ", extent < 1 ? "?" : std::to_string(extent));
  return shape ? fmt::format("input '{}' ({} [{}])", input, to_string(type), extents)
               : fmt::format("input '{}' ({})", input, to_string(type));
}

}  // namespace

Status check_preset(const Preset& preset) {
  const auto bad = [&](std::string_view fault) {
    return error(ErrorCode::InvalidArgument, "preset '{}': {}", preset.name, fault);
  };
  const std::size_t most = !preset.channels ? 3 : *preset.channels == ChannelOrder::Grey ? 1 : 3;
  for (const auto& [key, list] : {std::pair<const char*, const std::vector<double>&>{"mean", preset.mean},
                                  {"std", preset.std},
                                  {"pad", preset.pad}}) {
    if (list.size() != 1 && list.size() != most)
      return bad(
          fmt::format("{} has {} numbers; give one, or one for each of {} channels", key, list.size(), most));
  }
  if (preset.fit == Fit::Shorter && preset.resize && preset.resize->height != preset.resize->width)
    return bad("resize is the length of the shorter side, one number; fit \"exact\" takes height and width");
  if (preset.fit == Fit::None && preset.resize)
    return bad("resize has a size, but fit \"none\" resizes nothing");
  if (preset.resize && preset.crop_ratio)
    return bad("resize and crop_ratio both say how large the image becomes; give one of them");
  return {};
}

Result<ImageForm> image_form(const Preset& preset, const std::string& input, DataType type,
                             const std::optional<Shape>& shape) {
  DISCO_CHECK(check_preset(preset));
  const auto bad = [&](std::string_view fault) {
    return error(ErrorCode::InvalidArgument, "{}: {}", describe(input, type, shape), fault);
  };
  ImageForm form;
  form.type = type;
  if (type != DataType::Float32 && type != DataType::UInt8)
    return bad("images become float32 or uint8; give the array as .npy or .npz");
  const Shape extents = shape.value_or(Shape(4, -1));
  if (extents.size() != 3 && extents.size() != 4)
    return bad("an image has 3 or 4 axes here; give the array as .npy or .npz");
  form.batched = extents.size() == 4;
  const std::size_t first = form.batched ? 1 : 0;  // axis behind the batch
  const auto takes_channels = [](std::int64_t extent) { return extent == 1 || extent == 3; };
  const bool is_last = !takes_channels(extents[first]) && takes_channels(extents[first + 2]);
  form.layout = preset.layout.value_or(is_last ? ImageLayout::Nhwc : ImageLayout::Nchw);
  const bool planes = form.layout == ImageLayout::Nchw;
  const std::int64_t channels = extents[planes ? first : first + 2];
  if (channels >= 1 && !takes_channels(channels)) {
    return bad(fmt::format("it has {} channels in layout {}, an image has 1 or 3; {}", channels,
                           planes ? "nchw" : "nhwc",
                           takes_channels(extents[planes ? first + 2 : first])
                               ? fmt::format("try --layout {}", planes ? "nhwc" : "nchw")
                               : "give the array as .npy or .npz"));
  }
  form.channels = preset.channels.value_or(channels == 1 ? ChannelOrder::Grey : ChannelOrder::Rgb);
  if (channels >= 1 && channels != channel_count(form.channels)) {
    return bad(fmt::format("it takes {} channel{}, preset '{}' gives {}; try --channels {}", channels,
                           channels == 1 ? "" : "s", preset.name, channel_count(form.channels),
                           channels == 1 ? "grey" : "rgb"));
  }
  if (channel_count(form.channels) == 1 && std::max({preset.mean.size(), preset.std.size()}) > 1)
    return bad("it takes 1 channel, the preset has three means; give one with --mean and one with --std");
  const std::int64_t height = std::max<std::int64_t>(0, extents[planes ? first + 1 : first]);
  const std::int64_t width = std::max<std::int64_t>(0, extents[planes ? first + 2 : first + 1]);
  if (std::max(height, width) > kMostSide) return bad("no image is that large");
  form.height = static_cast<int>(height);
  form.width = static_cast<int>(width);
  if (preset.crop &&
      ((height > 0 && height != preset.crop->height) || (width > 0 && width != preset.crop->width))) {
    Shape asked = extents;
    for (std::int64_t& extent : asked) extent = std::max<std::int64_t>(extent, 1);
    asked[planes ? first + 1 : first] = preset.crop->height;
    asked[planes ? first + 2 : first + 1] = preset.crop->width;
    return bad(
        fmt::format("the preset crops to {} x {}; leave the crop out, or run the model at that size: "
                    "--shape {}:{}",
                    preset.crop->height, preset.crop->width, input, fmt::join(asked, ",")));
  }
  return form;
}

Result<Placement> placement(PixelSize image, const Preset& preset, const ImageForm& form) {
  if (image.width < 1 || image.height < 1)
    return error(ErrorCode::InvalidArgument, "an image without pixels");
  DISCO_TRY(const Geometry g, place(image, preset, form));
  return Placement{static_cast<double>(g.resized.width) / image.width,
                   static_cast<double>(g.resized.height) / image.height, -static_cast<double>(g.left),
                   -static_cast<double>(g.top), g.window};
}

Result<Tensor> to_tensor(const Image& image, const Preset& preset, const ImageForm& form) {
  if (image.width < 1 || image.height < 1)
    return error(ErrorCode::InvalidArgument, "an image without pixels");
  DISCO_TRY(const Geometry g, place({image.height, image.width}, preset, form));
  const bool as_it_is = g.resized == PixelSize{image.height, image.width};
  const Image resized =
      as_it_is ? Image{}
               : resize(image, g.resized.width, g.resized.height, preset.interpolation, preset.antialias);
  const Image& source = as_it_is ? image : resized;
  return form.type == DataType::UInt8 ? fill<std::uint8_t>(source, g, preset, form)
                                      : fill<float>(source, g, preset, form);
}

}  // namespace disco
