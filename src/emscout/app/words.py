"""How the app names options: by the labels of its forms."""

from __future__ import annotations

from emscout.errors import spell_options

__all__ = ["for_page", "label_of"]

# What every page asks for outside its form of options, and what it is called there.
_LABELS = {
    "out": "Folder for the results",
    "overwrite": "Replace other results there",
    "workers": "workers (on the command line)",
}


def label_of(field: str) -> str:
    """The label of an option."""
    return _LABELS.get(field, field.replace("_", " "))


def for_page(message: object) -> str:
    """A sentence of the core as a page shows it: options named by their labels."""
    return spell_options(str(message), _spell)


def _spell(field: str, value: str) -> str:
    label = f"“{label_of(field)}”"
    ticked = {"True": f"{label} ticked", "False": f"{label} not ticked", "": label}
    return ticked.get(value, f"{label} set to {value}")
