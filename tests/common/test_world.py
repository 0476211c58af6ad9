"""What a model has seen: centres, the limit, the file."""

import json

import pytest
import torch
from safetensors.torch import save_file

from common.storage import WORLD
from common.world import MARGIN, World, find_centres, load_world, pool, save_world


def blobs(count: int, seed: int) -> torch.Tensor:
    """Points (count, 8) around three places."""
    generator = torch.Generator().manual_seed(seed)
    places = 4 * torch.eye(8)[torch.randint(3, (count,), generator=generator)]
    return places + 0.3 * torch.randn(count, 8, generator=generator)


@pytest.fixture
def world() -> World:
    return World.measure(blobs(600, 1), blobs(400, 2), "drawn scenes", 600, epoch=3)


def test_the_centres_are_the_means_of_the_groups():
    points = blobs(3000, 0)
    found = find_centres(points, 3, seed=1)
    assert torch.cdist(4 * torch.eye(8)[:3], found).amin(1).max() < 0.1
    assert torch.equal(found, find_centres(points, 3, seed=1))  # the seed is fixed
    assert len(find_centres(points[:5])) == 5  # there are no more centres than points


def test_few_new_points_of_the_same_kind_are_outside_and_all_others_are(world):
    cells = blobs(5000, 3).view(-1, 8, 1, 1).expand(-1, 8, 2, 3)  # (N, C, h, w)
    assert (world(cells) > 1).float().mean() <= 0.02
    other = blobs(500, 4).flip(1).view(-1, 8, 1, 1)  # around other places
    assert (world(other) > 1).all()
    assert torch.allclose(world(7 * other), world(other), atol=1e-3)  # the length of the features does not matter


def test_the_limit_is_corrected_for_a_finite_sample():
    """Over many samples, 1 % of new points are outside: without the correction it would be more."""
    shares = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        train, validation, new = (torch.randn(n, 3, generator=generator) for n in (50, 99, 2000))
        world = World.measure(train, validation)
        shares.append((world.distances(new) > world.limit / MARGIN).float().mean())
    assert 0.006 < float(torch.stack(shares).mean()) < 0.0125


def test_distances_are_those_of_float32_under_autocast(world):
    points = blobs(50, 5)
    expected = torch.cdist(torch.nn.functional.normalize(points), world.centres).amin(1)
    torch.testing.assert_close(world.distances(points), expected, atol=1e-3, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(world.distances(points), expected, atol=1e-3, rtol=0)
    assert pool(torch.ones(2, 8, 3, 3, dtype=torch.bfloat16)).dtype == torch.float32


def test_what_is_written_is_read(world, tmp_path):
    save_world(tmp_path, world)
    found = load_world(tmp_path, 3, 8)
    assert found is not None and found.trained_on == "600 drawn scenes"
    assert torch.equal(found.centres, world.centres) and found.limit == world.limit
    assert load_world(tmp_path / "absent", 3, 8) is None  # a model of an earlier version


def test_the_file_of_resnet_is_small(tmp_path):
    save_world(tmp_path, World(torch.zeros(256, 2048), 1.0))
    assert (tmp_path / WORLD).stat().st_size < 1.5e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"damaged"), "cannot read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "cannot read"),
        (lambda path: rewrite(path, format="2"), "it has format 2, this version reads 1"),
        (lambda path: rewrite(path, limit=None), "cannot read"),
        (lambda path: rewrite(path, limit=float("nan")), "does not fit the weights"),
        (lambda path: rewrite(path, centres=torch.zeros(3, 9)), "does not fit the weights"),
        (lambda path: rewrite(path, centres=torch.full((3, 8), torch.nan)), "does not fit the weights"),
        (lambda path: rewrite(path, centres=torch.zeros(())), "does not fit the weights"),
        (lambda path: rewrite(path, centres=torch.zeros(0, 8)), "does not fit the weights"),
        (lambda path: rewrite(path, centres=torch.zeros(3, 8, dtype=torch.int32)), "does not fit the weights"),
        (lambda path: rewrite(path, count=float("inf")), "cannot read"),
        (lambda path: rewrite(path, facts="[" * 100_000), r"nested too deep; delete it, and write it again"),
        (lambda path: rewrite(path, facts="[]"), "cannot read"),
        (lambda path: rewrite(path, epoch=2), "is of the weights of epoch 2, those beside it are of epoch 3"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_command_that_helps(change, message, world, tmp_path):
    save_world(tmp_path, world)
    change(tmp_path / WORLD)
    with pytest.raises(ValueError, match=message) as error:
        load_world(tmp_path, 3, 8)
    assert f"python Evaluate_test.py --model {tmp_path}" in str(error.value)


def rewrite(path, format="1", centres=None, facts=None, **values):
    values = {"limit": 1.0, "pictures": "drawn scenes", "count": 3, "epoch": 3, **values}
    metadata = {"format": format, "facts": facts or json.dumps(values)}
    save_file({"centres": torch.zeros(3, 8) if centres is None else centres}, path, metadata)
