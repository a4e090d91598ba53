"""The table of notebook parameters, and what is taken for one."""

from dataclasses import fields, replace
from inspect import signature

import pytest

from ufm.protocol import Protocol, Scoring
from ufm.study import parameters
from ufm.study.notebook_parameters import OWN, PARAMETERS, given

HOW = {"profile", "device", "data_root", "fresh", "train"}  # a notebook is executed; the others say what it shows


@pytest.mark.parametrize("one", PARAMETERS.values(), ids=PARAMETERS)
def test_a_parameter_is_typed_documented_and_does_something(one):
    assert set(one.types) <= {"int", "float", "bool", "str", "None"}
    assert one.checked(one.default) == one.default
    assert ("None:" in one.help) == (one.default is None)
    assert len(one.help) > 10
    choosing = set(signature(parameters.shown).parameters) | {
        field.name for field in (*fields(Protocol), *fields(Scoring))
    }
    assert one.name in HOW | choosing


def test_only_what_the_table_knows_is_given():
    variables = {"n_seeds": 3, "profile": "paper", "dataset": None, "n_canary": 4, "__name__": "__main__"}
    assert given(variables) == {"profile": "paper", "dataset": None, "n_seeds": 3}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n_seeds", "3", "int or None, not '3'"),
        ("n_seeds", True, "int or None, not True"),
        ("train", 0, "bool, not 0"),
        ("device", None, "str, not None"),
        ("feature", len, "str or None, not <built-in function len>"),
    ],
)
def test_a_variable_of_another_type_is_named(name, value, expected):
    with pytest.raises(ValueError, match=f"^{name} takes {expected}$"):
        given({name: value})


def test_a_whole_number_is_a_rate_too():
    assert replace(PARAMETERS["n_ood"], types=("float",)).checked(2) == 2


@pytest.mark.parametrize(
    ("changes", "declared"),
    [
        ({}, True),
        ({"help": "seeds, of each sweep, with its models; None: the profile's"}, True),
        ({"help": "seeds, ; None: the profile's"}, False),
        ({"help": "seeds; None: the profile's"}, False),
        ({"help": "seeds, each with five models; None: the profile's own"}, False),
        ({"default": 0}, False),
        ({"types": ("int",)}, False),
        ({"name": "seed"}, False),
    ],
)
def test_a_cell_has_the_tables_words_and_a_chapters_own_where_it_may(changes, declared):
    one = PARAMETERS["n_seeds"]
    cell = replace(one, help=one.help.replace(OWN, "each with five models"))
    assert one.declared_by(replace(cell, **changes)) == declared
