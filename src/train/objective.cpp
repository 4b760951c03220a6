#include "train/objective.h"

#include <ATen/core/grad_mode.h>

namespace disco::train {

Objective::Objective(const Network* teacher, const Network& student, const TaskLoss& task,
                     const Traffic* traffic, const ObjectiveOptions& options)
    : teacher_(teacher), student_(student), task_(task), options_(options) {
  if (traffic == nullptr || teacher == nullptr || options.hints == 0.0) return;
  std::map<std::string, std::size_t> by_name;
  const auto& theirs = teacher->graph().values;
  for (std::size_t v = 0; v < theirs.size(); ++v) by_name[theirs[v].name] = v;
  for (const Exchangeable& value : traffic->values) {
    const auto found = by_name.find(student.graph().value(value.value).name);
    if (found != by_name.end()) hints_.emplace_back(static_cast<std::size_t>(value.value), found->second);
  }
}

Result<at::Tensor> Objective::loss(const std::vector<at::Tensor>& inputs,
                                   const std::vector<at::Tensor>& targets, const Mode& mode,
                                   std::vector<at::Tensor>* answers) const {
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
  std::vector<at::Tensor> mine, wanted;
  for (std::size_t o = 0; o < student_.graph().outputs.size(); ++o) {
    const auto& answer = ours[static_cast<std::size_t>(student_.graph().outputs[o])];
    const bool learns = answer.defined() && answer.requires_grad();
    mine.push_back(learns ? answer.to(at::kFloat) : at::Tensor());
    if (teacher_ == nullptr) continue;
    wanted.push_back(theirs[static_cast<std::size_t>(teacher_->graph().outputs[o])].to(at::kFloat));
  }
  if (teacher_ != nullptr && options_.distillation != 0.0)
    loss = loss + options_.distillation * task_.distillation(mine, wanted, options_.temperature);
  if (options_.labels != 0.0) {
    DISCO_TRY(const at::Tensor distance, task_.loss(mine, targets));
    loss = loss + options_.labels * distance;
  }
  if (answers != nullptr) {
    for (const at::Tensor& answer : mine) answers->push_back(answer.defined() ? answer.detach() : answer);
  }
  for (const auto& [v, t] : hints_) {
    if (!ours[v].defined() || !ours[v].requires_grad() || !theirs[t].defined()) continue;
    loss = loss + options_.hints / static_cast<double>(hints_.size()) *
                      relative_squares(ours[v].to(at::kFloat), theirs[t].to(at::kFloat));
  }
  return loss;
}

}  // namespace disco::train
