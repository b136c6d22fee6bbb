"""The status document as Prometheus wants it. Pure: a document in, families of samples out.

A reader has a number that no other reader of this producer ever gets, and its own counter, which ends with
it. So a sum over readers goes back whenever one leaves; what must only grow is counted by the producer, those
who left included: ``fanoutfs_delivered_bytes_total``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fanoutfs.status.wording import Reader, has_all, held_up

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""What all versions of Prometheus read."""

READER = ("id", "kind", "command")
"""The labels of a reader. A copy's target is none: its path would stay in a database for years."""

Family = type[CounterMetricFamily] | type[GaugeMetricFamily]


@attrs.frozen
class Scalar:
    """One figure of the document."""

    family: Family
    name: str
    help: str
    of: Callable[[dict[str, Any]], float]


SCALARS = (
    Scalar(CounterMetricFamily, "fanoutfs_source_read_bytes", "Bytes read from the source.",
           lambda document: document["source"]["bytes_read"]),
    Scalar(CounterMetricFamily, "fanoutfs_source_reads", "Reads of the source, of one or more blocks each.",
           lambda document: document["source"]["reads"]),
    Scalar(CounterMetricFamily, "fanoutfs_source_errors", "Places of the source that could not be read.",
           lambda document: document["source"]["errors"]),
    Scalar(CounterMetricFamily, "fanoutfs_source_changed_blocks",
           "Blocks that were other ones when they were read again.",
           lambda document: document["source"]["changed"]),
    Scalar(GaugeMetricFamily, "fanoutfs_source_size_bytes", "Size of the source.",
           lambda document: document["source"]["size"]),
    Scalar(GaugeMetricFamily, "fanoutfs_source_reading", "Whether a read of the source is under way: 1 or 0.",
           lambda document: float(document["source"]["reading"])),
    Scalar(CounterMetricFamily, "fanoutfs_delivered_bytes",
           "Bytes that readers have had, those who left included.",
           lambda document: document["delivered"]),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_resident_blocks", "Blocks that are in the ring.",
           lambda document: document["ring"]["resident"]),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_slots", "Blocks that the ring has room for.",
           lambda document: document["ring"]["slots"]),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_block_size_bytes", "Size of a block.",
           lambda document: document["ring"]["block_size"]),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_granted_blocks", "Blocks lent to copies, once for each copy.",
           lambda document: document["gauges"]["granted"]),
    Scalar(GaugeMetricFamily, "fanoutfs_head_bytes", "Where the source is read next, from its beginning.",
           lambda document: document["head"]),
    Scalar(GaugeMetricFamily, "fanoutfs_readers", "Readers that there are.",
           lambda document: len(document["readers"])),
    Scalar(CounterMetricFamily, "fanoutfs_handler_bugs", "Requests that failed by a bug of this mount.",
           lambda document: document["gauges"]["handler_bugs"]),
)  # fmt: skip


@attrs.frozen
class OfReader:
    """One figure of each reader; ``held`` is how many wait for it."""

    family: Family
    name: str
    help: str
    of: Callable[[dict[str, Any], Reader, int], float]


def lag(document: dict[str, Any], reader: Reader) -> int:
    """Give the bytes from a reader to the head, going round; 0 for who has not begun, or has all."""
    if reader["start"] is None or has_all(reader):
        return 0
    behind: int = (document["head"] - reader["position"]) % document["source"]["size"]
    return behind


OF_READERS = (
    OfReader(CounterMetricFamily, "fanoutfs_reader_delivered_bytes", "Bytes that a reader has had.",
             lambda _document, reader, _held: reader["delivered"]),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_left_bytes", "Bytes that a reader has still to come.",
             lambda _document, reader, _held: reader["left"]),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_lag_bytes", "Bytes from a reader to the head, going round.",
             lambda document, reader, _held: lag(document, reader)),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_waiting",
             "Whether a reader waits, for the source or for another: 1 or 0.",
             lambda _document, reader, _held: float(reader["waiting"] is not None)),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_followers", "Readers that wait for this one.",
             lambda _document, _reader, held: held),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_dormant",
             "Whether a reader has taken nothing for longer than the others wait for it: 1 or 0.",
             lambda _document, reader, _held: float(not reader["live"])),
)  # fmt: skip


def families(document: dict[str, Any]) -> Iterator[Metric]:
    """Give all that is known, with its names and units."""
    build = InfoMetricFamily("fanoutfs_build", "The program.")
    build.add_metric([], {"version": version("fanoutfs")})
    yield build
    source = InfoMetricFamily("fanoutfs_source", "What is read, and where it is mounted.")
    source.add_metric([], {"path": document["source"]["path"], "mountpoint": document["mountpoint"] or ""})
    yield source
    for figure in SCALARS:
        yield figure.family(figure.name, figure.help, value=figure.of(document))
    readers: Sequence[Reader] = document["readers"]
    holds = held_up(readers)
    for each in OF_READERS:
        family = each.family(each.name, each.help, labels=READER)
        for reader in readers:
            labels = [str(reader["id"]), reader["kind"], reader["command"]]
            family.add_metric(labels, each.of(document, reader, holds[reader["id"]]))
        yield family


@attrs.define(eq=False)
class _Document(Collector):
    """A document for prometheus_client to write."""

    document: dict[str, Any]

    def collect(self) -> Iterable[Metric]:
        """Give the families."""
        return families(self.document)


def exposition(document: dict[str, Any]) -> bytes:
    """Write a document in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Document(document))
    return generate_latest(registry)
