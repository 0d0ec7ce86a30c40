"""Machines that Ray holds together: each takes a few candidates at a time and does them as one machine would.

A task holds a device and hands its candidates to a worker process beside it (`_local`), so that limits and deaths of
candidates are what they are on one machine. What is left to see here is a node that is lost: what it had not given back
yet is done elsewhere.
"""

# pyright: reportMissingImports=false

import hashlib
import math
import os
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from nrjax._utils.frameworks import environment_of_workers, framework
from nrjax._utils.messages import first_line
from nrjax._utils.process_wide import environment_default
from nrjax.errors import BrokenImage
from nrjax.ranking import CandidateResult, ExtractionSpec, Job, LabelledSamples, Listener, RoundSpec
from nrjax.sweeps._architectures import packed_architectures, unpack_architectures
from nrjax.sweeps._local import Local
from nrjax.sweeps._owner import temporary_path
from nrjax.sweeps._setup import packed_models

MOST_AT_ONCE, TURNS = 16, 4  # candidates of a task at most; tasks for every device, so that all end together
IDLE = 10  # seconds without a task until the worker process ends
OF_A_NODE = "CUDA_", "RAY_", "SLURM_", "XDG_", "SSH_", "DISPLAY", "TMPDIR", "HOSTNAME"  # variables that go nowhere else
LOSSES = 10  # times that the node of a candidate may be lost


class Ray:
    """Nodes of a cluster.

    Args:
      models: by name; paths must be there on every node.
      target: the samples.
      spec: what is taken of every model.
      cache: of features, in a folder that all nodes must share.
      address: of the cluster (`auto` finds one that runs here); None starts one on this machine.
      devices_per_model: accelerators that a candidate takes; where there are none, CPU cores.
      workers: tasks at once; None leaves that to Ray.
      limits: `time_limit` and `memory_limit` of `Local`.

    Raises:
      MissingFramework: Ray is not installed.
      ValueError: there is no cluster at the address.
    """

    def __init__(
        self, models: Mapping[str, object], target: LabelledSamples, spec: ExtractionSpec, *,
        cache: object = None, address: str | None = None,
        devices_per_model: int = 1, workers: int | None = None, **limits: Any,
    ):  # fmt: skip
        self._ray = ray = framework("ray", "engine='ray'")
        self._began = not ray.is_initialized()
        if self._began:
            _check_reachable(address)
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            try:  # without an address Ray would join whatever runs here
                ray.init(address or "local", **options | ({"include_dashboard": False} if address is None else {}))
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ValueError(f"there is no Ray cluster at {address!r}: {first_line(error)}") from error
        self._devices, self._wanted = devices_per_model, workers
        environment = {
            name: value for name, value in environment_of_workers().items() if not name.startswith(OF_A_NODE)
        }
        # Ray kills what its tasks started, before that could tidy up: of a cluster of its own the sweep does so.
        self._programs = temporary_path() if self._began and address is None else None
        options = {"cache": cache, "programs": self._programs, **limits}
        packed, self._refused = packed_models(models, target, spec, options, packed_architectures(), environment)
        self._setup, self._backend = ray.put(packed), environment.get("KERAS_BACKEND", "jax")
        self._task = ray.remote(max_retries=0, num_returns="streaming", **self._resources())(_do)

    def _resources(self) -> dict[str, Any]:
        resources = self._ray.cluster_resources()
        if resources.get("GPU"):
            return {"num_cpus": 1, "num_gpus": self._devices}
        if resources.get("TPU"):
            return {"num_cpus": 1, "resources": {"TPU": self._devices}}
        return {"num_cpus": self._devices}

    def run(self, jobs: Sequence[Job], round_spec: RoundSpec, listener: Listener) -> Iterator[CandidateResult]:
        """Results as they come; every job has one."""
        ray, losses = self._ray, Counter[str]()
        for job in jobs:
            if job.name in self._refused:
                listener.advances(round_spec.samples)
                yield CandidateResult(job, reason=self._refused[job.name])
        jobs = [job for job in jobs if job.name not in self._refused]
        claims = _claims_on(_node_of_driver())
        packed_round, waiting = ray.put(cloudpickle.dumps(round_spec)), self._parts(jobs)
        running: dict[Any, list[Job]] = {}
        while waiting or running:
            while waiting and (self._wanted is None or len(running) < self._wanted):
                part = waiting.pop(0)
                running[self._task.remote(self._setup, self._backend, packed_round, part, claims)] = part
            ready, _ = ray.wait(list(running), timeout=1, fetch_local=False)
            for stream in ready:
                try:
                    result = ray.get(next(stream))
                except StopIteration:
                    del running[stream]
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, BrokenImage):
                        raise BrokenImage(str(error.cause)) from error
                    raise
                except ray.exceptions.RayError:  # the node, or the process of the task
                    for job in running.pop(stream):
                        losses[job.name] += 1
                        if losses[job.name] < LOSSES:
                            waiting.append([job])
                        else:
                            yield CandidateResult(
                                job, reason=f"The nodes that had it were lost {LOSSES} times.", died="crash"
                            )
                else:
                    running[stream] = [job for job in running[stream] if job.name != result.job.name]
                    listener.advances(round_spec.samples)
                    yield result

    def _parts(self, jobs: Sequence[Job]) -> list[list[Job]]:
        resources = self._ray.cluster_resources()
        devices = next((resources[kind] for kind in ("GPU", "TPU", "CPU") if resources.get(kind)), 1) / self._devices
        size = min(MOST_AT_ONCE, max(1, math.ceil(len(jobs) / (TURNS * devices))))
        return [list(jobs[start : start + size]) for start in range(0, len(jobs), size)]

    def close(self) -> None:
        """Ends what was begun here."""
        del self._setup, self._task  # references that end later may name objects of another cluster
        if self._began:
            self._ray.shutdown()
        if self._programs is not None:
            shutil.rmtree(self._programs, ignore_errors=True)


def _check_reachable(address: str | None) -> None:
    """Whether somebody listens there: Ray itself tries for minutes."""
    where = (address or "").removeprefix("ray://")
    if where == "auto":
        where = os.environ.get("RAY_ADDRESS", "") or _running_here()
    host, colon, port = where.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise ValueError(f"there is no Ray cluster at {address!r}: {error.strerror or error}.") from error


def _running_here() -> str:
    """The address that `ray start` left on this machine, whose cluster may be dead."""
    try:
        return Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster").read_text("utf-8").strip()
    except OSError:
        return ""


class _SilentListener:
    """A listener on a node."""

    def starts(self, name: str) -> None:
        pass

    def advances(self, samples: int) -> None:
        pass


_held: dict[bytes, Local] = {}  # of this process of Ray's: its worker process, for one task after another
_ending: list[threading.Timer] = []  # what ends it when no task comes any more


class _Claims:
    """Who computes a model, among the nodes."""

    def __init__(self):
        self._names: dict[str, str] = {}

    def claim(self, fingerprint: str, name: str) -> bool:
        """Whether a model is the named candidate's to compute."""
        return self._names.setdefault(fingerprint, name) == name


def _node_of_driver() -> str:
    """The node of this process, whose loss ends the sweep anyway."""
    import ray

    return ray.get_runtime_context().get_node_id()


def _claims_on(node: str) -> Any:
    """An actor on this node, started again where its process ends; it knows of no claims then."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=there)(_Claims).remote()


def _do(
    setup: bytes, backend: str, round_spec: bytes, jobs: list[Job], claims: Any
) -> Iterator[CandidateResult]:  # fmt: skip
    """On a node: candidates, one after another."""
    import ray

    def claim(fingerprint: str, name: str) -> bool:
        try:
            return ray.get(claims.claim.remote(fingerprint, name))
        except ray.exceptions.RayError:  # lost with its node: the model is computed twice at worst
            return True

    while _ending:
        _ending.pop().cancel()
    key = hashlib.sha256(setup).digest()
    if key not in _held:
        _end()
        with environment_default("KERAS_BACKEND", backend):  # models of Keras import it
            models, target, spec, options, architectures, environment = cloudpickle.loads(setup)
        unpack_architectures(architectures)
        lacks = {name: value for name, value in environment.items() if name not in os.environ}
        _held[key] = Local(models, target, spec, workers=1, environment=lacks, **options)
    try:
        yield from _held[key].run(jobs, cloudpickle.loads(round_spec), _SilentListener(), claim)
    except BaseException:
        _end()
        raise
    _ending.append(threading.Timer(IDLE, _end))
    _ending[-1].daemon = True
    _ending[-1].start()


def _end() -> None:
    while _held:
        _held.popitem()[1].close()
