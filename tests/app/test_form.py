"""Forms have every option of the command, and read what was typed."""

from dataclasses import fields

import pytest

from emscout.app.form import describe_form, read_form
from emscout.app.words import for_page
from emscout.crystals.locate import CrystalOptions
from emscout.errors import UsageError
from emscout.particles.analyze import ParticleOptions


@pytest.mark.parametrize("options", [CrystalOptions, ParticleOptions])
def test_every_option_is_in_the_form_with_its_help(options):
    entries = {entry.name: entry for entry in describe_form(options)}
    assert list(entries) == [field.name for field in fields(options)]
    assert all(
        entry.help == for_page(field.metadata["help"])
        for entry, field in zip(entries.values(), fields(options), strict=True)
    )


@pytest.mark.parametrize("options", [CrystalOptions, ParticleOptions])
def test_a_form_sent_as_it_is_gives_the_defaults(options):
    left_out = ("like", "unlike")
    entries = describe_form(options, left_out)
    sent = {entry.name: entry.default if entry.kind == "check" else str(entry.default or "") for entry in entries}
    assert read_form(options, sent, left_out) == options()


def test_what_is_typed_becomes_what_the_option_is():
    options = read_form(
        CrystalOptions, {"grid": " 8x8 ", "clusters": "4", "network": True, "reduce": "nmf", "tile": ""}
    )
    assert (options.grid, options.clusters, options.network, options.reduce) == ("8x8", 4, True, "nmf")
    assert options.tile is None
    assert read_form(ParticleOptions, {"max_uncertainty": "0,05"}).max_uncertainty == 0.05


def test_kinds_follow_the_types():
    kinds = {entry.name: entry.kind for entry in describe_form(ParticleOptions)}
    assert (kinds["roi"], kinds["samples"], kinds["max_uncertainty"]) == ("check", "whole", "number")
    assert (kinds["polarity"], kinds["model"]) == ("choice", "text")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"clusters": "many"}, "`clusters`"),
        ({"reduce": "magic"}, "`reduce`"),
        ({"network": "yes"}, "`network`"),
        ({"colour": "red"}, "colour"),
        ({"grid": "12"}, "grid"),
        ({"grid": "8x8", "tile": "50px"}, "`grid`"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(values, word):
    with pytest.raises(UsageError, match=word):
        read_form(CrystalOptions, values)


def test_a_page_takes_no_function_as_a_model():
    with pytest.raises(UsageError, match="function"):
        read_form(ParticleOptions, {"model": "os:getcwd"})
    assert read_form(ParticleOptions, {"model": "C:/models/own.onnx"}).model == "C:/models/own.onnx"


def test_a_page_names_options_by_their_labels():
    said = for_page("Give `min_diameter`, `trust=bar` or `overwrite=True`; not `split=False`, in `out`.")
    assert said == (
        "Give “min diameter”, “trust” set to bar or “Replace other results there” ticked; "
        "not “split” not ticked, in “Folder for the results”."
    )
