// Presets by name, from TOML and to TOML.

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/file.h"
#include "data/preset.h"

namespace disco {

namespace {

template <typename T>
struct Word {
  std::string_view word;
  T value;
};
constexpr Word<Fit> kFits[] = {
    {"exact", Fit::Exact}, {"shorter", Fit::Shorter}, {"letterbox", Fit::Letterbox}, {"none", Fit::None}};
constexpr Word<Interpolation> kInterpolations[] = {{"bilinear", Interpolation::Bilinear},
                                                   {"bicubic", Interpolation::Bicubic},
                                                   {"lanczos", Interpolation::Lanczos},
                                                   {"nearest", Interpolation::Nearest}};
constexpr Word<Anchor> kAnchors[] = {{"centre", Anchor::Centre}, {"corner", Anchor::Corner}};
constexpr Word<ChannelOrder> kChannels[] = {
    {"rgb", ChannelOrder::Rgb}, {"bgr", ChannelOrder::Bgr}, {"grey", ChannelOrder::Grey}};
constexpr Word<ImageLayout> kLayouts[] = {{"nchw", ImageLayout::Nchw}, {"nhwc", ImageLayout::Nhwc}};

template <typename T, std::size_t N>
std::string_view word_of(const Word<T> (&words)[N], T value) {
  return std::find_if(words, words + N, [&](const Word<T>& w) { return w.value == value; })->word;
}

/// What a key cannot be: the sentence without key and place.
using Fault = std::optional<std::string>;

template <typename T, std::size_t N>
Fault take_word(const toml::node& node, const Word<T> (&words)[N], T& to) {
  std::string known;
  for (const Word<T>& w : words) {
    if (node.is_string() && **node.as_string() == w.word) {
      to = w.value;
      return {};
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", w.word);
  }
  return "takes one of: " + known;
}

template <typename T, std::size_t N>
Fault take_word(const toml::node& node, const Word<T> (&words)[N], std::optional<T>& to) {
  T value{};
  const Fault fault = take_word(node, words, value);
  if (!fault) to = value;
  return fault;
}

std::optional<double> number(const toml::node& node) {
  std::optional<double> value = node.value<double>();
  if (const auto* text = node.as_string()) {
    // "1/255": a fraction that no decimal number holds.
    const std::string fraction(**text);
    char* end = nullptr;
    const double above = std::strtod(fraction.c_str(), &end);
    if (end == fraction.c_str() || *end != '/') return {};
    const char* below = end + 1;
    value = above / std::strtod(below, &end);
    if (end == below || *end != '\0') return {};
  }
  if (!value || !std::isfinite(*value)) return {};
  return value;
}

Fault take_numbers(const toml::node& node, std::vector<double>& to) {
  std::vector<double> list;
  const toml::array* array = node.as_array();
  if (array == nullptr) {
    const auto value = number(node);
    if (!value) return "takes a number, or one for each channel";
    list.push_back(*value);
  } else {
    for (const toml::node& item : *array) {
      const auto value = number(item);
      if (!value) return "takes a number, or one for each channel";
      list.push_back(*value);
    }
  }
  if (list.size() != 1 && list.size() != 3) return "takes one number, or three for three channels";
  to = std::move(list);
  return {};
}

Fault take_size(const toml::node& node, std::optional<PixelSize>& to) {
  const Fault fault = "takes a number of pixels from 1 to 32768, or height and width";
  const auto side = [](const toml::node& item) -> int {
    const auto value = item.is_integer() ? item.value<std::int64_t>().value_or(0) : 0;
    return value >= 1 && value <= 32768 ? static_cast<int>(value) : 0;
  };
  PixelSize size;
  if (const toml::array* array = node.as_array()) {
    if (array->size() != 2) return fault;
    size = {side(*array->get(0)), side(*array->get(1))};
  } else {
    size = {side(node), side(node)};
  }
  if (size.height == 0 || size.width == 0) return fault;
  to = size;
  return {};
}

Fault take_key(Preset& preset, std::string_view key, const toml::node& node) {
  if (key == "fit") return take_word(node, kFits, preset.fit);
  if (key == "interpolation") return take_word(node, kInterpolations, preset.interpolation);
  if (key == "anchor") return take_word(node, kAnchors, preset.anchor);
  if (key == "channels") return take_word(node, kChannels, preset.channels);
  if (key == "layout") return take_word(node, kLayouts, preset.layout);
  if (key == "crop") return take_size(node, preset.crop);
  if (key == "default_size") return take_size(node, preset.default_size);
  if (key == "pad") return take_numbers(node, preset.pad);
  if (key == "mean") return take_numbers(node, preset.mean);
  if (key == "resize") {
    preset.crop_ratio.reset();
    return take_size(node, preset.resize);
  }
  if (key == "crop_ratio") {
    const auto value = number(node);
    if (!value || *value < 0.01 || *value > 1.0) return "takes a number from 0.01 to 1";
    preset.crop_ratio = *value;
    preset.resize.reset();
    return {};
  }
  if (key == "std") {
    std::vector<double> list;
    if (const Fault fault = take_numbers(node, list)) return fault;
    if (std::any_of(list.begin(), list.end(), [](double x) { return x <= 0.0; }))
      return "divides: it takes positive numbers";
    preset.std = std::move(list);
    return {};
  }
  if (key == "scale") {
    const auto value = number(node);
    if (!value || *value == 0.0) return "takes a number, or a fraction such as \"1/255\"";
    preset.scale = *value;
    return {};
  }
  if (key == "antialias") {
    if (!node.is_boolean()) return "takes true or false";
    preset.antialias = **node.as_boolean();
    return {};
  }
  return "is not known here; docs/presets.md lists the keys";
}

Error at_line(const std::filesystem::path& path, const toml::source_region& source, std::string_view what) {
  std::string line(what);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return error(ErrorCode::InvalidArgument, "{}:{}: {}", path.string(), source.begin.line, line);
}

Result<Preset> load_file(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  toml::table root;
  try {
    root = toml::parse(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                       path.string());
  } catch (const toml::parse_error& failure) {
    return at_line(path, failure.source(), failure.description());
  }
  Preset preset;
  preset.name = path.string();
  for (const auto& [key, node] : root) {
    if (const Fault fault = take_key(preset, key.str(), node))
      return at_line(path, node.source(), fmt::format("'{}' {}", key.str(), *fault));
  }
  if (root.contains("resize") && root.contains("crop_ratio")) {
    return at_line(path, root.get("crop_ratio")->source(),
                   "resize and crop_ratio both say how large the image becomes; give one of them");
  }
  DISCO_CHECK(check_preset(preset));
  return preset;
}

/// The built-in presets differ from Preset's defaults only in what is listed here.
std::optional<Preset> builtin(std::string_view name) {
  Preset preset;
  preset.name = name;
  if (name == "unit") return preset;
  if (name == "raw") {
    preset.scale = 1.0;
    return preset;
  }
  if (name == "letterbox") {
    preset.fit = Fit::Letterbox;
    preset.default_size = PixelSize{640, 640};
    preset.pad = {114.0};
    return preset;
  }
  if (name == "cifar10") {
    preset.mean = {0.485, 0.456, 0.406};
    preset.std = {0.229, 0.224, 0.225};
    return preset;
  }
  preset.fit = Fit::Shorter;
  preset.crop_ratio = 0.875;
  preset.default_size = PixelSize{224, 224};
  if (name == "imagenet") {
    preset.mean = {0.485, 0.456, 0.406};
    preset.std = {0.229, 0.224, 0.225};
    return preset;
  }
  if (name == "imagenet-inception") {
    preset.scale = 1.0 / 127.5;
    preset.mean = {1.0};
    return preset;
  }
  if (name == "imagenet-caffe") {
    preset.channels = ChannelOrder::Bgr;
    preset.scale = 1.0;
    preset.mean = {103.939, 116.779, 123.68};
    return preset;
  }
  return {};
}

std::string to_text(const std::vector<double>& list) {
  return list.size() == 1 ? fmt::format("{}", list.front()) : fmt::format("[{}]", fmt::join(list, ", "));
}

std::string to_text(const PixelSize& size) {
  return size.height == size.width ? fmt::format("{}", size.height)
                                   : fmt::format("[{}, {}]", size.height, size.width);
}

}  // namespace

const std::vector<PresetInfo>& builtin_presets() {
  static const std::vector<PresetInfo> list = {
      {"imagenet", "torchvision's and most of timm's classifiers: shorter side 256, crop 224, mean and std"},
      {"imagenet-inception", "the same crop, x/127.5 - 1: TensorFlow's Inception and MobileNet"},
      {"imagenet-caffe", "the same crop, BGR minus the mean colour: VGG and ResNet from Caffe or Keras"},
      {"cifar10", "resized to the model's size, mean and std as for imagenet: classifiers of small images"},
      {"unit", "resized to the model's size, x/255"},
      {"raw", "resized to the model's size, x in 0..255"},
      {"letterbox", "fitted into the model's size with grey bars, x/255: YOLO's detectors"}};
  return list;
}

Result<Preset> load_preset(const std::string& name_or_file) {
  if (auto preset = builtin(name_or_file)) return *std::move(preset);
  auto preset = load_file(name_or_file);
  if (preset || preset.error().code != ErrorCode::NotFound) return preset;
  std::string names;
  for (const PresetInfo& info : builtin_presets()) names += fmt::format("{}, ", info.name);
  return error(ErrorCode::NotFound, "{}: no preset and no file of that name; there are {}or a TOML file",
               name_or_file, names);
}

std::string to_toml(const Preset& preset) {
  std::string text = "# How an image becomes a tensor; docs/presets.md explains every key.\n";
  const auto line = [&](std::string_view key, const std::string& value) {
    text += fmt::format("{} = {}\n", key, value);
  };
  const auto word = [&](std::string_view key, std::string_view value) {
    text += fmt::format("{} = \"{}\"\n", key, value);
  };
  word("fit", word_of(kFits, preset.fit));
  if (preset.resize) line("resize", to_text(*preset.resize));
  if (preset.crop_ratio) line("crop_ratio", fmt::format("{}", *preset.crop_ratio));
  if (preset.crop) line("crop", to_text(*preset.crop));
  if (preset.default_size) line("default_size", to_text(*preset.default_size));
  word("interpolation", word_of(kInterpolations, preset.interpolation));
  line("antialias", preset.antialias ? "true" : "false");
  word("anchor", word_of(kAnchors, preset.anchor));
  line("pad", to_text(preset.pad));
  if (preset.channels) word("channels", word_of(kChannels, *preset.channels));
  line("scale", fmt::format("{}", preset.scale));
  line("mean", to_text(preset.mean));
  line("std", to_text(preset.std));
  if (preset.layout) word("layout", word_of(kLayouts, *preset.layout));
  return text;
}

Status set_preset_key(Preset& preset, const std::string& key, const std::string& value) {
  toml::array items;
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t comma = std::min(value.find(',', at), value.size());
    const std::string item = value.substr(at, comma - at);
    at = comma + 1;
    char* end = nullptr;
    if (const long long whole = std::strtoll(item.c_str(), &end, 10); end != item.c_str() && *end == '\0') {
      items.push_back(static_cast<std::int64_t>(whole));
    } else if (const double real = std::strtod(item.c_str(), &end); end != item.c_str() && *end == '\0') {
      items.push_back(real);
    } else if (item == "true" || item == "false") {
      items.push_back(item == "true");
    } else {
      items.push_back(item);
    }
  }
  const toml::node& node = items.size() == 1 ? *items.get(0) : static_cast<const toml::node&>(items);
  if (const Fault fault = take_key(preset, key, node))
    return error(ErrorCode::InvalidArgument, "{}, not '{}'", *fault, value);
  return {};
}

}  // namespace disco
