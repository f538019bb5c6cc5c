"""What the user should know first, a sentence each."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from emscout.errors import ReadError
from emscout.micrograph import Series
from emscout.movies.report.footage import names_of_files

__all__ = ["tell_unreadable", "warn_of_drift", "warn_of_overlay", "warn_of_result"]

_MEANING = {
    "blank": "show no specimen",
    "saturated": "are overexposed",
    "incomplete": "miss some of their rows",
    "blurred": "are out of focus",
    "doubled": "were exposed while the specimen jumped",
    "unmatched": "show something else than the frames before",
}
_SINGULAR = {
    "blank": "shows no specimen",
    "saturated": "is overexposed",
    "incomplete": "misses some of its rows",
    "blurred": "is out of focus",
    "doubled": "was exposed while the specimen jumped",
    "unmatched": "shows something else than the frames before",
}
_MOST_NAMED = 12


def warn_of_drift(drift: pd.DataFrame, series: Series) -> list[str]:
    """What is wrong with frames, by kind, and where the specimen was lost for good."""
    warnings = []
    status, files = drift["status"].to_numpy(), names_of_files(drift)
    last_good = int((status == "ok").nonzero()[0][-1])
    # What shows another place may also be taken for out of focus.
    lost = [i for i in range(last_good + 1, len(status)) if status[i] in ("unmatched", "blurred", "doubled")]
    if "unmatched" not in status[lost]:
        lost = []
    if lost:
        verb = "frame {} does" if len(lost) == 1 else "frames {} do"
        warnings.append(
            f"After frame {last_good} the specimen is lost: {verb.format(_name(lost, files))} not show what was seen "
            "before, as when it moves by more than half the field of view. The frames before are followed; give the "
            "rest as a movie of its own."
        )
    for kind, meaning in _MEANING.items():
        frames = [frame for frame in range(len(status)) if status[frame] == kind and frame not in lost]
        if frames:
            verb = meaning if len(frames) > 1 else _SINGULAR[kind]
            warnings.append(
                f"Frame{'s' * (len(frames) > 1)} {_name(frames, files)} {verb}: passed over, and the drift bridged."
            )
    if series.times_s is None:
        warnings.append(
            "The time between frames is not known, so time is counted in frames: give it with `frame_time`."
        )
    return warnings


def warn_of_overlay(drawn: float, clock: float) -> list[str]:
    """That parts of the frames are left out: shares with something drawn over them, or a clock running in them."""
    warnings = []
    if drawn:
        warnings.append(
            f"Something is drawn over the frames and stays where it is while the specimen moves ({drawn:.1%} of a "
            "frame): no particles are looked for beneath it."
        )
    if clock:
        warnings.append(
            f"A clock or a counter runs in the frames ({clock:.1%} of a frame): no particles are looked for beneath it."
        )
    return warnings


def tell_unreadable(drift: pd.DataFrame, series: Series) -> list[str]:
    """Why frames cannot be read, a sentence each."""
    frames = drift.loc[drift["status"] == "unreadable", "frame"].tolist()
    told = []
    for frame in frames[:_MOST_NAMED]:
        try:
            series.load_frame(frame)
        except ReadError as error:
            told.append(f"Frame {frame} is passed over: {error}")
    if len(frames) > _MOST_NAMED:
        told.append(f"{len(frames) - _MOST_NAMED} more frames cannot be read: {_name(frames[_MOST_NAMED:], {})}.")
    return told


def warn_of_result(tables: Mapping[str, pd.DataFrame], series: Series) -> list[str]:
    """What is missing from the results, and why."""
    warnings = []
    if series.calibration is None:
        warnings.append("The pixel size is not known, so sizes are in pixels: give it with `pixel_size`.")
    if tables["tracks"].empty:
        warnings.append("No particles stand out in any frame: if you see some, try another `model` or `diameter`.")
    return warnings


def _name(frames: list[int], files: Mapping[int, str]) -> str:
    """Frames as people write them, with their files where each has its own: 3 (c.tif), 5–9 (e.tif to i.tif)."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    named = []
    for run in runs[:_MOST_NAMED]:
        ends = [run[0]] if len(run) == 1 else [run[0], run[-1]]
        held = f" ({' to '.join(files[end] for end in ends)})" if files else ""
        named.append("–".join(map(str, ends)) + held)
    return ", ".join(named) + (" …" if len(runs) > _MOST_NAMED else "")
