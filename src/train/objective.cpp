#include "train/objective.h"

#include <ATen/core/grad_mode.h>

namespace disco::train {

namespace {

at::Tensor relative_squares(const at::Tensor& ours, const at::Tensor& theirs) {
  return (ours - theirs).square().mean() / theirs.square().mean().clamp_min(1e-12);
}

}  // namespace

at::Tensor distillation_loss(const at::Tensor& ours, const at::Tensor& theirs, double temperature) {
  if (ours.dim() != 2 || ours.size(1) < 2) return relative_squares(ours, theirs);
  const at::Tensor log_p = at::log_softmax(ours / temperature, 1);
  const at::Tensor log_q = at::log_softmax(theirs / temperature, 1);
  const auto samples = static_cast<double>(ours.size(0));
  return (log_q.exp() * (log_q - log_p)).sum() / samples * (temperature * temperature);
}

Objective::Objective(const Network* teacher, const Network& student, const Traffic* traffic,
                     const ObjectiveOptions& options)
    : teacher_(teacher), student_(student), options_(options) {
  if (traffic == nullptr || teacher == nullptr || options.hints == 0.0) return;
  std::map<std::string, std::size_t> by_name;
  const auto& theirs = teacher->graph().values;
  for (std::size_t v = 0; v < theirs.size(); ++v) by_name[theirs[v].name] = v;
  for (const Exchangeable& value : traffic->values) {
    const auto found = by_name.find(student.graph().value(value.value).name);
    if (found != by_name.end()) hints_.emplace_back(static_cast<std::size_t>(value.value), found->second);
  }
}

Result<at::Tensor> Objective::loss(const std::vector<at::Tensor>& inputs, const at::Tensor& labels,
                                   const Mode& mode, at::Tensor* outputs) const {
  const auto run = [&](const Network& network, Values& values, const Mode& how) -> Status {
    for (std::size_t n = 0; n < network.graph().nodes.size(); ++n) {
      DISCO_CHECK(network.step(n, values, how));
      if (hints_.empty()) network.release(n, values);
    }
    return {};
  };
  Values theirs;
  if (teacher_ != nullptr) {
    const at::NoGradGuard no_grad;
    theirs = teacher_->begin(inputs);
    DISCO_CHECK(run(*teacher_, theirs, {}));
  }
  Values ours = student_.begin(inputs);
  DISCO_CHECK(run(student_, ours, mode));
  at::Tensor loss = at::zeros({}, at::TensorOptions(inputs[0].device()).dtype(at::kFloat));
  bool first = true;
  for (const ValueId id : student_.graph().outputs) {
    const auto o = static_cast<std::size_t>(id);
    if (!ours[o].defined() || !ours[o].requires_grad()) continue;
    const at::Tensor answer = ours[o].to(at::kFloat);
    if (teacher_ != nullptr && options_.distillation != 0.0) {
      loss = loss + options_.distillation *
                        distillation_loss(answer, theirs[o].to(at::kFloat), options_.temperature);
    }
    if (first && options_.labels != 0.0) {
      loss = loss + options_.labels * at::cross_entropy_loss(answer, labels, {}, at::Reduction::Mean, -1,
                                                             options_.label_smoothing);
    }
    if (first && outputs != nullptr) *outputs = answer.detach();
    first = false;
  }
  for (const auto& [v, t] : hints_) {
    if (!ours[v].defined() || !ours[v].requires_grad() || !theirs[t].defined()) continue;
    loss = loss + options_.hints / static_cast<double>(hints_.size()) *
                      relative_squares(ours[v].to(at::kFloat), theirs[t].to(at::kFloat));
  }
  return loss;
}

}  // namespace disco::train
