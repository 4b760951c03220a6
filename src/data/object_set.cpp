#include "data/object_set.h"

#include <algorithm>
#include <cctype>
#include <map>

namespace disco::sources {

namespace {

std::string plain(const std::string& name) {
  std::string key;
  for (const unsigned char c : name) {
    if (c != ' ' && c != '-' && c != '_') key += static_cast<char>(std::tolower(c));
  }
  return key;
}

std::string list_of(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 6;
  std::string list;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i)
    list += fmt::format("{}'{}'", i == 0 ? "" : ", ", as_one_line(names[i]));
  return names.size() > kMost ? list + ", …" : list;
}

class ObjectSet final : public ImageSet {
 public:
  Status load(Annotations annotations, const DataSetOptions& options, const InputSlot* input) {
    about_ = annotations.about;
    pictures_ = std::move(annotations.pictures);
    if (pictures_.empty()) return error(ErrorCode::InvalidArgument, "{}: has no pictures", about_);
    DISCO_TRY(const auto numbers, numbers_of(annotations.names, options.classes, about_));
    std::int64_t left_out = 0;
    for (Annotated& picture : pictures_) {
      const std::size_t before = picture.objects.size();
      for (Object& object : picture.objects) object.label = numbers[static_cast<std::size_t>(object.label)];
      std::erase_if(picture.objects, [](const Object& object) { return object.label < 0; });
      left_out += static_cast<std::int64_t>(before - picture.objects.size());
    }
    if (left_out > 0) about_ += fmt::format(", without {} objects that the model has no class for", left_out);
    names_ = options.classes.empty() ? std::move(annotations.names) : options.classes;
    classes_ = static_cast<std::int64_t>(names_.size());
    DISCO_CHECK(prepare(options, input, "unit"));
    return take_shape();
  }

  std::string about() const override { return about_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(pictures_.size()); }
  std::int64_t label(std::int64_t) const override { return -1; }
  TruthKind truth_kind() const override { return TruthKind::Objects; }

 protected:
  Result<Image> image(std::int64_t index) const override { return read_image(at(index).image); }
  Result<Picture> picture(std::int64_t index) const override {
    Picture picture;
    DISCO_TRY(picture.image, image(index));
    picture.truth = at(index).objects;
    return picture;
  }
  std::string where(std::int64_t index) const override { return at(index).image.string(); }

 private:
  const Annotated& at(std::int64_t index) const { return pictures_[static_cast<std::size_t>(index)]; }

  std::string about_;
  std::vector<Annotated> pictures_;
};

}  // namespace

Result<std::vector<std::int64_t>> numbers_of(const std::vector<std::string>& names,
                                             const std::vector<std::string>& model,
                                             const std::string& where) {
  std::map<std::string, std::int64_t> known;
  const std::vector<std::string>& numbered = model.empty() ? names : model;
  for (std::size_t i = 0; i < numbered.size(); ++i)
    known.try_emplace(plain(numbered[i]), static_cast<std::int64_t>(i));
  std::vector<std::int64_t> numbers;
  for (const std::string& name : names) {
    const auto found = known.find(plain(name));
    numbers.push_back(found == known.end() ? -1 : found->second);
  }
  const bool any = std::any_of(numbers.begin(), numbers.end(), [](std::int64_t n) { return n >= 0; });
  if (!any && !names.empty()) {
    return error(ErrorCode::InvalidArgument, "{}: knows {}, but the model's classes are {}", where,
                 list_of(names), list_of(model));
  }
  return numbers;
}

Opened open_annotations(Annotations annotations, const DataSetOptions& options, const InputSlot* input) {
  auto set = std::make_unique<ObjectSet>();
  DISCO_CHECK(set->load(std::move(annotations), options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
