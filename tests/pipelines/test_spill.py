import pickle

import pytest

from pipelines.spill import Spill


@pytest.mark.parametrize("blocks", [[b""], [b"a", b"", b"bcd" * 1000]])
def test_blocks_come_back_from_the_disk_in_any_worker(tmp_path, blocks):
    writers = [Spill(str(tmp_path)), pickle.loads(pickle.dumps(Spill(str(tmp_path))))]
    references = [(block, writer.put(block)) for block in blocks for writer in writers]
    assert all(len(reference) < 60 for _, reference in references)
    reader = pickle.loads(pickle.dumps(writers[0]))
    assert [reader.get(reference) for _, reference in references] == [block for block, _ in references]
    assert len(list(tmp_path.iterdir())) == 2


def test_where_workers_share_no_disk_the_blocks_travel():
    spill = Spill(None)
    assert spill.get(spill.put(b"block")) == b"block"
    assert len(spill.put(b"block" * 100)) > 500


def test_a_block_that_was_cut_short_is_an_error(tmp_path):
    spill = Spill(str(tmp_path))
    reference = spill.put(b"block")
    [path] = tmp_path.iterdir()
    path.write_bytes(b"blo")
    with pytest.raises(OSError, match="cut short"):
        spill.get(reference)
