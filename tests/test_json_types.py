import pytest

from xlnet.json_types import is_of

COLUMNS = {"text": str, "pair": str | None, "header": bool | None}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (1, float),
        (0.5, float),
        (True, bool),
        (None, str | None),
        ([], list[str]),
        (["a", "b"], list[str]),
        (None, list[str] | None),
        ("a", ("a", None)),
        (None, ("a", None)),
        ({"text": "t", "pair": None, "header": False}, COLUMNS),
    ],
)
def test_values_of_a_kind(value, kind):
    assert is_of(value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, int),
        (True, float),
        (1, bool),
        (1.0, int),
        (["a", 1], list[str]),
        ("ab", list[str]),
        ("b", ("a", None)),
        (["a"], ("a", None)),
        ({"text": "t", "pair": None}, COLUMNS),
        ({"text": "t", "pair": None, "header": None, "more": 1}, COLUMNS),
        ({"text": 1, "pair": None, "header": None}, COLUMNS),
        ([], COLUMNS),
    ],
)
def test_values_of_another(value, kind):
    assert not is_of(value, kind)
