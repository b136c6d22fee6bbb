"""Status documents as Prometheus's text, parsed by Prometheus's own client."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from fanoutfs.status.document import Gauges, ReaderEntry, StatusDocument
from fanoutfs.units import MIB
from fanoutfs.web.metrics import exposition
from tests.documents import SIZE, document, reader

Samples = dict[tuple[str, str], float]


def samples(shown: StatusDocument) -> Samples:
    """Return the values by name and reader's id."""
    families = text_string_to_metric_families(exposition(shown).decode())
    return {
        (sample.name, sample.labels.get("id", "")): sample.value
        for family in families
        for sample in family.samples
    }


def shown(*readers: ReaderEntry, **said: Any) -> StatusDocument:
    gauges = Gauges(granted=3)
    return document(*readers, mountpoint="/mnt", delivered=7 * MIB, gauges=gauges, **said)


def test_the_source_and_the_ring_are_counted() -> None:
    """In bytes, blocks and reads, as in the document."""
    found = samples(shown())

    assert found["fanoutfs_source_read_bytes_total", ""] == SIZE // 2
    assert found["fanoutfs_source_reads_total", ""] == 63
    assert found["fanoutfs_source_errors_total", ""] == 0
    assert found["fanoutfs_ring_resident_blocks", ""] == 100
    assert found["fanoutfs_head_bytes", ""] == SIZE // 2
    assert found["fanoutfs_delivered_bytes_total", ""] == 7 * MIB
    assert found["fanoutfs_readers", ""] == 0


def test_a_wait_for_another_reader_is_counted_at_both() -> None:
    """One reader waits, the other has a follower."""
    found = samples(shown(reader(1, waiting=2), reader(2), reader(3, waiting="source")))

    assert [found["fanoutfs_reader_waiting", number] for number in "123"] == [1, 0, 1]
    assert [found["fanoutfs_reader_followers", number] for number in "123"] == [0, 1, 0]


def test_the_lag_goes_round() -> None:
    """From the reader to the head, over the image's end; a complete or fresh reader has no lag."""
    ahead = reader(1, position=SIZE // 2 + 10 * MIB)
    behind = reader(2, position=SIZE // 2 - 10 * MIB)
    done = reader(3, position=SIZE, left=0)
    fresh = reader(4, start=None, position=0)
    found = samples(shown(ahead, behind, done, fresh))

    lags = [found["fanoutfs_reader_lag_bytes", number] for number in "1234"]
    assert [SIZE - 10 * MIB, 10 * MIB, 0, 0] == lags


def test_a_command_of_any_letters_is_a_label() -> None:
    """Quotes and line ends are escaped."""
    name = 'a"b\\c\nd'
    text = exposition(shown(reader(1, command=name))).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert name == families["fanoutfs_reader_delivered_bytes"].samples[0].labels["command"]


def test_the_delivered_bytes_do_not_go_back_when_a_reader_leaves() -> None:
    """The producer has its own counter; the reader's ends."""
    before = samples(shown(reader(1)))
    after = samples(shown())

    assert ("fanoutfs_reader_delivered_bytes_total", "1") in before
    assert ("fanoutfs_reader_delivered_bytes_total", "1") not in after
    assert before["fanoutfs_delivered_bytes_total", ""] <= after["fanoutfs_delivered_bytes_total", ""]
