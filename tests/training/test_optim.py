"""training.optim: learning rates of a whole run, which weights decay, the moving average, and the guard."""

import pytest
import torch

from Architectures import SiameseModel
from Config import BackboneConfig, ModelConfig, OptimConfig
from training.optim import NaNGuard, WeightAverage, make_optimizer, make_scheduler


def small_model():
    return SiameseModel(20, BackboneConfig(channels=4), ModelConfig(width=8, word_width=8))


def test_learning_rates_over_the_whole_run():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [w], "lr": 1.0, "backbone": b} for w, b in zip(weights, (False, True))]
    optimizer = torch.optim.SGD(groups)
    settings = OptimConfig(epochs=10, warmup=0.1)
    scheduler = make_scheduler(optimizer, settings, steps_per_epoch=10, unfreeze_epoch=4)
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    head, backbone = zip(*rates)
    assert head[0] == pytest.approx(0.1)
    assert max(head) == head[9] == head[10] == 1.0
    assert backbone[:40] == (0.0,) * 40
    assert backbone[40] > 0
    assert max(backbone) == 1.0
    assert head[99] < 0.01
    assert backbone[99] < 0.01


def test_weight_decay_spares_norms_biases_embeddings_and_scalars():
    model = small_model()
    optimizer = make_optimizer(model, OptimConfig(), backbone_trained=True)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    for name, weight in model.named_parameters():
        spared = weight.ndim < 2 or name == "text.embed.weight"
        assert (id(weight) in decayed) is not spared, name


def test_a_backbone_that_stays_frozen_is_not_in_the_optimizer():
    model = small_model()
    backbone = {id(weight) for weight in model.backbone.parameters()}
    for trained in (True, False):
        optimizer = make_optimizer(model, OptimConfig(lr=1e-3, backbone_lr=1e-5), trained)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert {rates.get(key) for key in backbone} == {1e-5 if trained else None}
        assert {rates[id(p)] for p in model.text.parameters()} == {1e-3}


def test_the_average_by_hand():
    weight = torch.nn.Parameter(torch.tensor([0.0]))
    average = WeightAverage([weight], decay=0.2)
    expected = 0.0
    for step, value in enumerate((1.0, 2.0, 4.0), start=1):
        weight.data.fill_(value)
        average.update()
        decay = min(0.2, (1 + step) / (10 + step))  # 0.18, 0.2, 0.2
        expected = decay * expected + (1 - decay) * value
    with average.in_place():
        assert weight.item() == pytest.approx(expected)
    assert weight.item() == 4.0
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert weight.item() == 4.0


def test_the_average_survives_a_checkpoint_and_without_decay_there_is_none():
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    average, fresh = WeightAverage([weight], 0.9), WeightAverage([weight], 0.9)
    for _ in range(3):
        weight.data += 1
        average.update()
    fresh.load_state_dict(average.state_dict())
    weight.data += 1
    average.update(), fresh.update()
    assert torch.equal(fresh.mean[0], average.mean[0])
    none = WeightAverage([weight], 0.0)
    none.update()
    with none.in_place():
        assert weight.item() == 7.0


def test_the_guard_holds_the_weights_from_the_first_bad_step_on():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], fused=True)
    guard = NaNGuard(optimizer, torch.device("cpu"), every=3)
    seen = []
    for step, gradient in enumerate((1.0, torch.nan, 1.0)):
        weight.grad = torch.full((2,), gradient)
        guard.watch(step, (step, 10 + step), torch.tensor(0.5), weight.grad.norm())
        optimizer.step()
        seen.append(weight.detach().clone())
    assert not torch.equal(seen[0], torch.ones(2))
    assert torch.equal(seen[1], seen[0])
    assert torch.equal(seen[2], seen[0])  # a good step after a bad one changes nothing either
    assert guard.bad_step() == (1, (1, 11))


def test_the_guard_lets_finite_numbers_pass():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], fused=True)
    guard = NaNGuard(optimizer, torch.device("cpu"), every=1)
    guard.watch(0, (0,), torch.tensor(1e30))
    assert guard.bad_step() is None
    guard.watch(1, (5,), torch.tensor(torch.inf))
    assert guard.bad_step() == (1, (5,))
