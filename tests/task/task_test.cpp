// Tasks as JSON and in models, answers and metrics of classifiers.

#include "task/task.h"

#include <gmock/gmock.h>

#include "task/metric.h"

namespace disco {
namespace {

using ::testing::HasSubstr;

constexpr const char* kDetector =
    R"({"version": 1, "task": "detection", "scores": "s", "boxes": "b", "classes": ["cat", "dog"],
        "background": 0, "activation": "sigmoid", "variances": [0.1, 0.3], "overlap": 0.5,
        "priors": [{"map": [2, 3], "boxes": [[0.1, 0.2], [0.2, 0.1]]},
                   {"map": [1, 1], "step": [0.5, 0.25], "boxes": [[0.9, 0.9]]}]})";

TEST(Task, IsTheSameAfterJson) {
  const auto task = task_from_json(kDetector);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(task->kind, TaskKind::Detection);
  EXPECT_EQ(task->output, "s");
  ASSERT_TRUE(task->head);
  EXPECT_EQ(task->head->prior_count(), 13);
  EXPECT_DOUBLE_EQ(task->head->priors[0].step_x, 1.0 / 3);
  EXPECT_DOUBLE_EQ(task->head->priors[1].step_y, 0.5);
  EXPECT_DOUBLE_EQ(task->head->size_variance, 0.3);
  const auto again = task_from_json(to_json(*task));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(to_json(*again), to_json(*task));
  for (const char* text :
       {R"({"task": "classification", "scores": "y", "classes": ["a"]})",
        R"({"task": "detection", "scores": "s", "boxes": "b", "code": "centres", "background": 91})",
        R"({"task": "segmentation", "logits": "y"})", R"({"task": "super-resolution", "scale": 3})",
        R"({"task": "super-resolution", "scale": 2, "white": 255, "channels": "bgr"})"}) {
    const auto other = task_from_json(text);
    ASSERT_TRUE(other.ok()) << text << ": " << other.error().message;
    EXPECT_EQ(to_json(*task_from_json(to_json(*other))), to_json(*other)) << text;
  }
}

TEST(Task, FaultsNameTheKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"[1]", "no JSON object"},
      {R"({"task": "dancing"})", "'task' is 'dancing'"},
      {R"({"task": "segmentation", "logit": "y"})", "'logit' is no key"},
      {R"({"task": "segmen\ntation"})", "'segmen?tation'"},
      {R"({"task": "segmentation", "lo\ngit": "y"})", "'lo?git' is no key"},
      {R"({"version": 2, "task": "segmentation"})", "'version' is 2"},
      {R"({"task": "super-resolution"})", "'scale' is missing"},
      {R"({"task": "super-resolution", "scale": 1.5})", "'scale' is no whole number"},
      {R"({"task": "super-resolution", "scale": 2, "white": 0})", "'white' is 0"},
      {R"({"task": "super-resolution", "scale": 2, "channels": "yuv"})",
       "'channels' is 'yuv', not rgb or bgr"},
      {R"({"task": "classification", "classes": "cat"})", "'classes' is no list"},
      {R"({"task": "detection", "scores": "s"})", "'boxes' is missing"},
      {R"({"task": "detection", "boxes": "b", "priors": []})", "'priors' is no list"},
      {R"({"task": "detection", "boxes": "b", "priors": [{"map": [2]}]})", "map 0 of its priors: 'map'"},
      {R"({"task": "detection", "boxes": "b", "priors": [{"map": [2, 2], "boxes": [[1, 0]]}]})", "above 0"},
      {R"({"task": "detection", "boxes": "b", "activation": "tanh"})", "'activation' is 'tanh'"},
  };
  for (const auto& [text, message] : cases) {
    const auto task = task_from_json(text);
    ASSERT_FALSE(task.ok()) << text;
    EXPECT_EQ(task.error().code, ErrorCode::InvalidArgument) << text;
    EXPECT_THAT(task.error().message, HasSubstr(message)) << text;
  }
}

Graph answering(const std::vector<std::pair<std::string, Shape>>& outputs) {
  Graph graph;
  for (const auto& [name, shape] : outputs) {
    const ValueId id = graph.add_value(name, DataType::Float32);
    std::vector<Dimension> dims;
    for (const std::int64_t extent : shape)
      dims.push_back(extent < 0 ? Dimension{-1, "N"} : Dimension{extent, {}});
    graph.value(id).dims = dims;
    graph.outputs.push_back(id);
  }
  return graph;
}

TEST(Task, OfAClassifierNeedsNoMetadata) {
  const std::pair<Shape, bool> cases[] = {
      {{-1, 10}, true}, {{1, 1000, 1, 1}, true},    {{4, 1, 1, 7}, true}, {{10}, true},
      {{1, 1}, false},  {{1, 21, 513, 513}, false}, {{1, 100, 4}, false}, {{-1, -1, -1}, false}};
  for (const auto& [shape, is_classifier] : cases) {
    const auto task = task_of(answering({{"features", {1, 3, 4, 4}}, {"y", shape}}));
    ASSERT_TRUE(task.ok());
    EXPECT_EQ(task->has_value(), is_classifier) << to_string(shape);
    if (is_classifier) {
      EXPECT_EQ((*task)->output, "y") << to_string(shape);
    }
  }
}

TEST(Task, OfAModelThatCannotAnswerItIsRefused) {
  const std::tuple<std::vector<std::pair<std::string, Shape>>, const char*> cases[] = {
      {{{"x", {1, 13, 3}}, {"b", {1, 13, 4}}}, "'s', which is no output; these are: 'x', 'b'"},
      {{{"s", {1, 13, 3}}}, "'b', which is no output"},
      {{{"s", {1, 12, 3}}, {"b", {1, 12, 4}}}, "has 12 boxes, the task has 13 priors"},
      {{{"s", {1, 13, 5}}, {"b", {1, 13, 4}}}, "has 5 scores, the task names 2 classes besides"},
      {{{"s", {1, 13}}, {"b", {1, 13, 4}}}, "has 2 axes"}};
  for (const auto& [outputs, message] : cases) {
    Graph model = answering(outputs);
    model.metadata[std::string(kTaskKey)] = kDetector;
    const auto task = task_of(model);
    ASSERT_FALSE(task.ok()) << message;
    EXPECT_EQ(task.error().code, ErrorCode::InvalidModel);
    EXPECT_THAT(task.error().message, HasSubstr(message));
  }
  Graph plain = answering({{"first", {1, 5, 8, 8}}, {"second", {1, 5, 8, 8}}});
  Task unnamed;
  unnamed.kind = TaskKind::Segmentation;
  ASSERT_TRUE(check_task(unnamed, plain).ok());
  EXPECT_EQ(unnamed.output, "first");
  Graph model = answering({{"s", {2, 13, 3}}, {"b", {2, 13, 4}}});
  model.metadata[std::string(kTaskKey)] = kDetector;
  EXPECT_TRUE(task_of(model).ok());
  model.metadata[std::string(kTaskKey)] = "{";
  EXPECT_THAT(task_of(model).error().message, HasSubstr("metadata 'disco.task'"));
}

Answer classes(const std::vector<float>& scores) {
  Task task;
  task.output = "y";
  const auto count = static_cast<std::int64_t>(scores.size());
  return read_answer(task, {{"y", Tensor::of<float>({1, count}, scores)}}, 0, 1, 8, 8).value();
}

TEST(ClassMetric, CountsTheBestAndTheBestFive) {
  Task task;
  const auto metric = make_metric(task, {.classes = 7});
  const Answer answer = classes({0, 6, 5, 4, 3, 2, 1});
  EXPECT_TRUE(metric->figures().empty());
  for (const std::int64_t label : {1, 1, 3, 0, 6}) ASSERT_TRUE(metric->add(answer, label).ok());
  ASSERT_TRUE(metric->add(answer, Truth()).ok());
  ASSERT_EQ(metric->samples(), 5);
  const auto figures = metric->figures();
  ASSERT_EQ(figures.size(), 2U);
  EXPECT_EQ(figures[0].name, "top1");
  EXPECT_DOUBLE_EQ(figures[0].value, 0.4);
  EXPECT_DOUBLE_EQ(figures[1].value, 0.6);
  EXPECT_EQ(to_text(figures[0]), "40.00 %");
  EXPECT_THAT(metric->add(answer, std::int64_t{7}).error().message, HasSubstr("classes 0 to 6"));
  EXPECT_FALSE(metric->add(answer, Objects()).ok());
  EXPECT_EQ(agreement(answer, classes({1, 6, 0, 0, 0, 0, 0})), 1.0);
  EXPECT_EQ(agreement(answer, classes({9, 6, 0, 0, 0, 0, 0})), 0.0);
}

TEST(ReadAnswer, OfOneSampleOfABatch) {
  Task task;
  task.output = "y";
  const NamedTensors outputs = {{"y", Tensor::of<float>({2, 3}, {1, 2, 3, 9, 8, 7})}};
  const auto second = read_answer(task, outputs, 1, 2, 8, 8);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(std::get<ClassAnswer>(*second).best.front().index, 0);
  EXPECT_EQ(std::get<ClassAnswer>(*second).best.front().score, 9);
  EXPECT_FALSE(read_answer(task, outputs, 0, 4, 8, 8).ok());
  EXPECT_THAT(read_answer(task, {}, 0, 1, 8, 8).error().message, HasSubstr("no output 'y'"));
}

}  // namespace
}  // namespace disco
