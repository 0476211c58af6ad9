"""A Ray cluster of two nodes on this machine, which all tests of this file share: Ray takes seconds to start."""

import csv
import os
import shutil
import threading
import time
from dataclasses import replace

import pytest
import torch
from conftest import ROOT, run_script
from frozen import frozen_training
from scripts import SCENES_SMALL, run_jobs_here

from common.jobs import ONE_THREAD, EngineError, _places, run_jobs
from judging import table
from sources.scenes import draw, make_scene, write_captions
from training import feature_jobs, features
from training.features import FeatureCache

ray = pytest.importorskip("ray", reason="Ray is not installed: python -m pip install -r requirements-cluster.txt")
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def nodes():
    """Two nodes with a core each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def cluster(nodes):
    """The nodes, to which this process is connected: workers start once, not for each call of `run_jobs`."""
    variables = {"PYTHONPATH": str(ROOT), **ONE_THREAD}
    ray.init(address=nodes.address, log_to_driver=False, runtime_env={"env_vars": variables})
    yield nodes
    ray.shutdown()


def test_the_cluster_scores_the_same_rows(nodes, tmp_path, monkeypatch):
    """As a user starts it: RAY_ADDRESS names the cluster. The first test, since the others stay connected."""
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    monkeypatch.setattr(table, "ROWS", 2)
    draw(make_scene(0)).save(tmp_path / "0.png")
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("image", "caption"), *(("0.png", text) for text in write_captions(make_scene(0), 0))]
        )
    found = {}
    for engine in ("local", "ray"):
        out = tmp_path / f"{engine}.csv"
        table.score_file(table.Job(tmp_path / "pairs.csv", tmp_path, out, SCENES_SMALL, "cpu", engine))
        with out.open(newline="") as file:
            found[engine] = list(csv.DictReader(file))
    assert len(found["ray"]) == 5
    for mine, theirs in zip(*found.values(), strict=True):
        # A worker computes with one thread; that may move a sum's last digit.
        assert float(mine["score"]) == pytest.approx(float(theirs["score"]), abs=1e-5)
        for name in ("image", "caption", "match", "worst_word", "error"):
            assert mine[name] == theirs[name]


def test_errors_are_those_of_the_job_or_one_line(cluster):
    class Breaks:  # Ray sends the code of classes in a function; other nodes do not have this file
        def run(self):
            raise OSError(28, "No space left on device")

    class Dies:
        def run(self):
            os._exit(1)

    with pytest.raises(OSError, match="No space left on device"):
        list(run_jobs([Breaks()], "ray"))
    with pytest.raises(EngineError, match=r"^the cluster failed: [^\n]*$"):
        list(run_jobs([Dies()], "ray"))
    with pytest.raises(EngineError, match="no node of the cluster has 2 CPUs and 0 GPUs for a task"):
        list(run_jobs([Breaks()], "ray", cpus=2))


def test_tasks_at_once_are_limited_by_cores_and_gpus():
    nodes = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0}]
    assert [_places(nodes, *task) for task in ((1, 0), (4, 0), (4, 1), (1, 0.5))] == [12, 3, 2, 4]


def test_the_cluster_builds_and_plans_the_same_bytes(cluster, tmp_path):
    """150 scenes are four units, and their plan is six jobs."""
    for engine in ("ray", "local"):
        run_script("Database_create.py", "--scenes", 150, "--root", tmp_path / engine, "--engine", engine)
    paths = [path for path in sorted((tmp_path / "local").rglob("*")) if path.is_file()]
    assert len(paths) > 10 and any("negatives" in str(path) for path in paths)
    for path in paths:
        assert path.read_bytes() == (tmp_path / "ray" / path.relative_to(tmp_path / "local")).read_bytes(), path


def test_a_node_that_dies_loses_nothing_of_a_feature_cache(cluster, databases, tmp_path, monkeypatch):
    """A third node is killed while it has a unit: the bytes are those of the jobs in this process."""
    monkeypatch.setattr(feature_jobs, "VIEWS", 8)
    monkeypatch.setattr(features, "MANY", 1)
    monkeypatch.setattr(feature_jobs, "run_jobs", lambda units, *how: run_jobs_here(units, 1))
    config, database, model = frozen_training(databases, tmp_path)
    threads = torch.get_num_threads()
    alone = FeatureCache.of_training(config, database, model, torch.float32)
    torch.set_num_threads(threads)
    expected = (alone.folder / "features.npy").read_bytes()
    shutil.rmtree(alone.folder)

    doomed = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    name, worked = doomed.node_id, tmp_path / "worked"
    worked.mkdir()

    class Watched:
        """A unit that never ends on the doomed node."""

        def __init__(self, unit):
            self.unit = unit

        def run(self):
            node = ray.get_runtime_context().get_node_id()
            (worked / node).touch()
            if node == name:
                time.sleep(600)
            self.unit.run()

    def kill():
        while not (worked / name).exists():
            time.sleep(0.1)
        cluster.remove_node(doomed, allow_graceful=False)

    def watched(units, *how):
        for job, result in run_jobs(map(Watched, units), *how):
            yield job.unit, result

    monkeypatch.setattr(feature_jobs, "run_jobs", watched)
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    cache = FeatureCache.of_training(replace(config, engine="ray"), database, model, torch.float32)
    killer.join(60)
    assert not killer.is_alive() and len(list(worked.iterdir())) == 3, "every node had a unit"
    assert (cache.folder / "features.npy").read_bytes() == expected
