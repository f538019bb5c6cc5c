import numpy as np
import pytest

from emscout.errors import ReadError
from emscout.evaluate.kinds import guess_kind, read_kinds


def _squares(side, gap, count, shape=(200, 200)):
    labels = np.zeros(shape, np.int32)
    for n in range(count):
        row, col = divmod(n, shape[1] // (side + gap))
        labels[row * (side + gap) :, col * (side + gap) :][:side, :side] = n + 1
    return labels


def test_kinds_follow_from_shapes():
    row, col = np.ogrid[:200, :200]
    assert guess_kind(np.zeros((50, 50), np.int32)) == "empty"
    assert guess_kind((np.hypot(row - 100, col - 100) < 80).astype(np.int32)) == "fills the frame"
    assert guess_kind(_squares(30, 10, 20)) == "cube"
    assert guess_kind(_squares(5, 5, 200)) == "tiny"
    rods = np.zeros((200, 200), np.int32)
    for n in range(8):
        rods[20 * n + 5 : 20 * n + 13, 20:60] = n + 1
    assert guess_kind(rods) == "rod"
    wires = np.zeros((200, 200), np.int32)
    wires[50:55, :], wires[120:124, :] = 1, 2
    assert guess_kind(wires) == "wire"


def test_kinds_that_somebody_gave_are_read(tmp_path):
    (tmp_path / "kinds.csv").write_text("name,kind\nemps/a,core-shell\n")
    assert read_kinds(tmp_path / "kinds.csv") == {"emps/a": "core-shell"}


@pytest.mark.parametrize("content", ["image,sort\na,b\n", "\xff\xfe"])
def test_a_table_of_kinds_that_is_none_is_a_sentence(content, tmp_path):
    (tmp_path / "kinds.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ReadError, match="columns name and kind"):
        read_kinds(tmp_path / "kinds.csv")
