"""What the user should know about a movie before believing its figures."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from emscout.errors import ReadError
from emscout.micrograph import Notice, Series

__all__ = [
    "FAULTS",
    "annotation_notices",
    "drift_notices",
    "files_by_frame",
    "result_notices",
    "unreadable_notices",
]

FAULTS = {
    "blank": ("shows no specimen", "show no specimen"),
    "saturated": ("is overexposed", "are overexposed"),
    "incomplete": ("has rows missing", "have rows missing"),
    "blurred": ("is out of focus", "are out of focus"),
    "doubled": ("was exposed while the specimen jumped", "were exposed while the specimen jumped"),
    "unmatched": ("shows something other than the frames before", "show something other than the frames before"),
    "unreadable": ("cannot be read", "cannot be read"),
}
"""What each status of a frame means, of one frame and of several."""

_MOST_NAMED = 12


def drift_notices(drift: pd.DataFrame, *, timed: bool) -> list[Notice]:
    """What is wrong with frames, by kind, and where the specimen was lost for good.

    Parameters
    ----------
    drift : DataFrame
        ``status`` of every frame, and its ``file`` where it has one.
    timed : bool
        Whether the times of the frames are known.
    """
    warnings = []
    status, files = drift["status"].to_numpy(), files_by_frame(drift)
    last_good = int((status == "ok").nonzero()[0][-1])
    # A frame of another place may also be taken for out of focus.
    lost = [i for i in range(last_good + 1, len(status)) if status[i] in ("unmatched", "blurred", "doubled")]
    if "unmatched" not in status[lost]:
        lost = []
    if lost:
        verb = "frame {} does" if len(lost) == 1 else "frames {} do"
        sentence = (
            f"After frame {last_good} the specimen is lost: {verb.format(_name(lost, files))} not show what was seen "
            "before, as happens when it moves by more than half the field of view."
        )
        remedy = "The frames before are followed; follow the rest as a separate movie."
        warnings.append(Notice("specimen-lost", sentence, remedy))
    for kind, (one, several) in FAULTS.items():
        frames = [frame for frame in range(len(status)) if status[frame] == kind and frame not in lost]
        if frames and kind != "unreadable":
            plural = len(frames) > 1
            sentence = (
                f"Frame{'s' * plural} {_name(frames, files)} {several if plural else one}: skipped, and the drift "
                "interpolated."
            )
            warnings.append(Notice(f"frames-{kind}", sentence))
    if not timed:
        sentence = "The time between frames is not known, so time is counted in frames."
        warnings.append(Notice("frame-time", sentence, "Give it with `frame_time`."))
    return warnings


def annotation_notices(drawn: float, clock: float) -> list[Notice]:
    """That nothing is measured under a title or a clock, which take up these shares of a frame."""
    warnings = []
    if drawn:
        sentence = (
            f"Something is drawn over the frames and stays where it is while the specimen moves ({drawn:.1%} of a "
            "frame): no particles are measured beneath it."
        )
        warnings.append(Notice("title", sentence))
    if clock:
        sentence = (
            f"A clock or a counter runs in the frames ({clock:.1%} of a frame): no particles are measured beneath it."
        )
        warnings.append(Notice("clock", sentence))
    return warnings


def unreadable_notices(drift: pd.DataFrame, series: Series) -> list[Notice]:
    """Why frames cannot be read, one by one for the first of them."""
    frames = drift.loc[drift["status"] == "unreadable", "frame"].tolist()
    notices = []
    for frame in frames[:_MOST_NAMED]:
        try:
            series.load_frame(frame)
        except ReadError as error:
            notices.append(Notice("frame-unreadable", f"Frame {frame} is skipped: {error}"))
    if len(frames) > _MOST_NAMED:
        others = frames[_MOST_NAMED:]
        notices.append(Notice("frame-unreadable", f"{len(others)} more frames cannot be read: {_name(others, {})}."))
    return notices


def result_notices(tables: Mapping[str, pd.DataFrame], *, calibrated: bool) -> list[Notice]:
    """What is missing from the results."""
    warnings = []
    if not calibrated:
        sentence = "The pixel size is not known, so sizes are in pixels."
        warnings.append(Notice("pixel-size", sentence, "Give it with `pixel_size`."))
    if tables["tracks"].empty:
        remedy = "If you see some, try another `model` or `diameter`."
        warnings.append(Notice("empty", "No particles stand out in any frame.", remedy))
    return warnings


def files_by_frame(drift: pd.DataFrame) -> dict[int, str]:
    """The file that holds each frame, where every frame has a file of its own; else nothing."""
    if "file" not in drift or drift["file"].nunique() < len(drift) or len(drift) < 2:
        return {}
    return dict(zip(drift["frame"].tolist(), drift["file"].tolist(), strict=True))


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
