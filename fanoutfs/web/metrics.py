"""The status document as Prometheus metrics. No I/O: a document in, families of samples out.

The producer never reuses the id of a reader, and the counter of a reader ends with it. So a sum over readers
decreases when one leaves; ``fanoutfs_delivered_bytes_total`` includes readers that have left and only grows.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fanoutfs.status.document import ReaderEntry, StatusDocument
from fanoutfs.status.wording import lag, waiting_for

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""All versions of Prometheus read it."""

READER = ("id", "kind", "command")
"""The labels of a reader. The target of a copy is not a label: the database would keep its path for years."""

Family = type[CounterMetricFamily] | type[GaugeMetricFamily]


@attrs.frozen
class Scalar:
    """One value of the document."""

    family: Family
    name: str
    help: str
    of: Callable[[StatusDocument], float]


SCALARS = (
    Scalar(CounterMetricFamily, "fanoutfs_source_read_bytes", "Bytes read from the source.",
           lambda document: document.source.bytes_read),
    Scalar(CounterMetricFamily, "fanoutfs_source_reads", "Reads of the source, of one or more blocks each.",
           lambda document: document.source.reads),
    Scalar(CounterMetricFamily, "fanoutfs_source_errors", "Places of the source that could not be read.",
           lambda document: document.source.errors),
    Scalar(CounterMetricFamily, "fanoutfs_source_changed_blocks",
           "Blocks whose content differed when they were read a second time.",
           lambda document: document.source.changed),
    Scalar(GaugeMetricFamily, "fanoutfs_source_size_bytes", "Size of the source.",
           lambda document: document.source.size),
    Scalar(GaugeMetricFamily, "fanoutfs_source_reading", "Whether a read is in progress: 1 or 0.",
           lambda document: float(document.source.reading)),
    Scalar(CounterMetricFamily, "fanoutfs_delivered_bytes",
           "Bytes delivered to readers, including those that have left.",
           lambda document: document.delivered),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_resident_blocks", "Blocks that the ring holds.",
           lambda document: document.ring.resident),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_slots", "Blocks that the ring can hold.",
           lambda document: document.ring.slots),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_block_size_bytes", "Size of a block.",
           lambda document: document.ring.block_size),
    Scalar(GaugeMetricFamily, "fanoutfs_ring_granted_blocks", "Blocks lent to copies, once for each copy.",
           lambda document: document.gauges.granted),
    Scalar(GaugeMetricFamily, "fanoutfs_head_bytes", "Offset where the source is read next.",
           lambda document: document.head),
    Scalar(GaugeMetricFamily, "fanoutfs_readers", "Number of readers.",
           lambda document: len(document.readers)),
    Scalar(CounterMetricFamily, "fanoutfs_handler_bugs", "Requests that failed because of a bug in fanoutfs.",
           lambda document: document.gauges.handler_bugs),
)  # fmt: skip


@attrs.frozen
class OfReader:
    """One value of each reader; ``waiters`` is the number of readers that wait for it."""

    family: Family
    name: str
    help: str
    of: Callable[[StatusDocument, ReaderEntry, int], float]


OF_READERS = (
    OfReader(CounterMetricFamily, "fanoutfs_reader_delivered_bytes", "Bytes delivered to a reader.",
             lambda _document, reader, _waiters: reader.delivered),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_left_bytes", "Bytes from a reader to the end of its file.",
             lambda _document, reader, _waiters: reader.left),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_lag_bytes", "Bytes from a reader to the head, going round.",
             lambda document, reader, _waiters: lag(document, reader) or 0),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_waiting",
             "Whether a reader waits, for the source or for another reader: 1 or 0.",
             lambda _document, reader, _waiters: float(reader.waiting is not None)),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_followers", "Readers that wait for this one.",
             lambda _document, _reader, waiters: waiters),
    OfReader(GaugeMetricFamily, "fanoutfs_reader_dormant",
             "Whether a reader has not read for longer than --patience: 1 or 0.",
             lambda _document, reader, _waiters: float(not reader.live)),
)  # fmt: skip


def families(document: StatusDocument) -> Iterator[Metric]:
    """Return all metrics of a document."""
    build = InfoMetricFamily("fanoutfs_build", "The program.")
    build.add_metric([], {"version": version("fanoutfs")})
    yield build
    source = InfoMetricFamily("fanoutfs_source", "The source, and where it is mounted.")
    source.add_metric([], {"path": document.source.path, "mountpoint": document.mountpoint or ""})
    yield source
    for scalar in SCALARS:
        yield scalar.family(scalar.name, scalar.help, value=scalar.of(document))
    readers = document.readers
    waiters = waiting_for(readers)
    for each in OF_READERS:
        family = each.family(each.name, each.help, labels=READER)
        for reader in readers:
            labels = [str(reader.id), reader.kind, reader.command]
            family.add_metric(labels, each.of(document, reader, waiters[reader.id]))
        yield family


@attrs.define(eq=False)
class _Document(Collector):
    """A document that prometheus_client can collect."""

    document: StatusDocument

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return families(self.document)


def exposition(document: StatusDocument) -> bytes:
    """Return a document in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Document(document))
    return generate_latest(registry)
