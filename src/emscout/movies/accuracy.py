"""A followed movie compared with truth: masks of some frames, or tables of drift, tracks and events."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.errors import ReadError, UsageError
from emscout.evaluate.movies import CROSSINGS, score_drift, score_events, score_links
from emscout.io.find import images_in
from emscout.io.labels import read_label_image
from emscout.movies.results import read_labels

__all__ = ["FILES", "evaluate_movie"]

FILES = ("scores.csv", "masks.csv", "events.csv")
"""Names of the tables of an evaluation."""

# At this distance from the edge a particle's centre is certainly on one side of it.
_ASIDE_PX = 1.0
_TABLES = {
    "drift": ("frame", "row_px", "col_px"),
    "tracks": ("frame", "particle", "row_px", "col_px", "radius_px"),
    "events": ("frame", "kind", "particles"),
}


def evaluate_movie(folder: Path, truth: Path) -> dict[str, pd.DataFrame]:
    """Score a folder that `emscout.movies.follow.follow` wrote.

    Parameters
    ----------
    folder : Path
    truth : Path
        A folder that holds any of: masks or label images of some frames, named as the frames' files or numbered as the
        frames; ``drift.csv`` (``frame``, ``row_px``, ``col_px``, and ``status`` where frames are not ``ok``);
        ``tracks.csv`` (``frame``, ``particle``, ``row_px``, ``col_px`` on the specimen as it lies in the first good
        frame, ``radius_px``); ``events.csv`` (``frame``, ``kind``, ``particles``), which needs the tracks.

    Returns
    -------
    dict of str to DataFrame
        ``masks``: a row for each frame with a mask: ``frame``, ``file``, ``true_count``, ``count``, ``count_error``
        (relative), ``dice``. ``scores``: ``what``, ``score``, ``value``. ``events``: a row for each kind, from
        `emscout.evaluate.movies.score_events`. Only those for which there is truth.

    Raises
    ------
    UsageError
        When there is no truth, or it belongs to another movie.
    ReadError
        When a file cannot be read.
    """
    drift = _read_csv(folder / "drift.csv", f"'{folder}' holds no drift.csv: give a folder that emscout movie wrote.")
    tables: dict[str, pd.DataFrame] = {}
    if not truth.is_dir():
        raise UsageError(f"'{truth}' is not a folder: give one with masks of frames or tables of truth.")
    masks = _score_masks(folder, truth, drift)
    scores = []
    if len(masks):
        tables["masks"] = masks
        scores += [("masks", "mean dice", masks["dice"].mean()), ("masks", "least dice", masks["dice"].min())]
        scores.append(("masks", "largest count error", masks["count_error"].abs().max()))
    known = {name: _read_truth(truth / f"{name}.csv", needed) for name, needed in _TABLES.items()}
    if known["drift"] is not None:
        scores += [("drift", name, value) for name, value in _score_drift(known["drift"], drift).items()]
    if known["tracks"] is not None:
        tracks = _on_specimen(_read_csv(folder / "tracks.csv", f"'{folder}' holds no tracks.csv."), drift)
        seen = _in_field(known["tracks"], folder, drift)
        frames = drift.loc[drift["cut_row_px"].notna(), "frame"].to_numpy()
        scores += [("links", name, value) for name, value in score_links(seen, tracks, frames).items()]
        if known["events"] is not None:
            events = _read_csv(folder / "events.csv", f"'{folder}' holds no events.csv.")
            true = _with_crossings(known["events"], known["tracks"], folder, drift)
            tables["events"] = score_events(true, events, seen, tracks)
    if not scores:
        raise UsageError(
            f"'{truth}' holds no truth of this movie: masks named as its frames, drift.csv, tracks.csv or events.csv."
        )
    return {"scores": pd.DataFrame(scores, columns=["what", "score", "value"]), **tables}


def _score_masks(folder: Path, truth: Path, drift: pd.DataFrame) -> pd.DataFrame:
    """Counts and Dice in the field that was measured, of frames that have a mask."""
    rows = []
    for path in images_in(truth):
        frame = _frame_of(path, drift)
        if frame is None:
            continue
        row = drift.iloc[frame]
        if pd.isna(row["cut_row_px"]):
            continue
        found = read_labels(folder, frame)
        top, left = int(row["cut_row_px"]), int(row["cut_col_px"])
        true = read_label_image(path)
        if true.shape[0] < top + found.shape[0] or true.shape[1] < left + found.shape[1]:
            raise UsageError(
                f"'{path}' is {true.shape[0]} × {true.shape[1]} px, smaller than its frame: give masks of whole frames."
            )
        true = true[top : top + found.shape[0], left : left + found.shape[1]]
        true_count, count = len(np.unique(true[true > 0])), len(np.unique(found[found > 0]))
        both, either = int(((true > 0) & (found > 0)).sum()), int((true > 0).sum() + (found > 0).sum())
        rows.append(
            {
                "frame": frame,
                "file": path.name,
                "true_count": true_count,
                "count": count,
                "count_error": count / true_count - 1 if true_count else np.nan,
                "dice": 2 * both / either if either else np.nan,
            }
        )
    return pd.DataFrame(rows).sort_values("frame", ignore_index=True) if rows else pd.DataFrame()


def _frame_of(path: Path, drift: pd.DataFrame) -> int | None:
    """The frame that a mask belongs to: by the name of its file in a folder, by its number in a stack."""
    stems = [Path(name).stem for name in drift["file"]]
    if len(set(stems)) > 1 or len(stems) == 1:
        return stems.index(path.stem) if path.stem in stems else None
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits and int(digits[-1]) < len(stems) else None


def _score_drift(true: pd.DataFrame, drift: pd.DataFrame) -> dict[str, float]:
    if len(true) != len(drift) or (true["frame"].to_numpy() != drift["frame"].to_numpy()).any():
        raise UsageError(
            f"The true drift has {len(true)} frames and the movie {len(drift)}: it belongs to another movie."
        )
    columns = ["row_px", "col_px"]
    showing = true["status"].to_numpy() == "ok" if "status" in true else drift["status"].to_numpy() == "ok"
    scores = score_drift(true[columns].to_numpy(), drift[columns].to_numpy(), showing)
    if "status" in true:
        flagged = drift["status"].to_numpy() != "ok"
        scores |= {
            "bad_frames": int((~showing).sum()),
            "bad_frames_flagged": int((~showing & flagged).sum()),
            "good_frames_flagged": int((showing & flagged).sum()),
        }
    return scores


def _on_specimen(tracks: pd.DataFrame, drift: pd.DataFrame) -> pd.DataFrame:
    """Tracks with positions as in the first good frame."""
    shift = drift.set_index("frame")[["row_px", "col_px"]].loc[tracks["frame"]].to_numpy()
    place = tracks[["row_frame_px", "col_frame_px"]].to_numpy() - shift
    return tracks.assign(row_px=place[:, 0], col_px=place[:, 1])


def _in_field(true: pd.DataFrame, folder: Path, drift: pd.DataFrame, by_px: float = 0.0) -> pd.DataFrame:
    """True particles whose centres are at least so far inside the field that was measured."""
    measured = drift[drift["cut_row_px"].notna()]
    height, width = read_labels(folder, int(measured["frame"].iloc[0])).shape
    cut = measured.set_index("frame")[["row_px", "col_px", "cut_row_px", "cut_col_px"]].astype(float)
    seen = true[true["frame"].isin(measured["frame"])]
    shift_row, shift_col, top, left = cut.loc[seen["frame"]].to_numpy().T
    row, col = seen["row_px"] + shift_row - top, seen["col_px"] + shift_col - left
    depth = np.min([row, height - 1 - row, col, width - 1 - col], axis=0) + 0.5
    return seen[depth >= by_px]


def _with_crossings(events: pd.DataFrame, true: pd.DataFrame, folder: Path, drift: pd.DataFrame) -> pd.DataFrame:
    """True events, with crossings of the edge of the measured field rather than that of the frames."""
    within = events[~events["kind"].isin(CROSSINGS)]
    changed: dict[int, list[int]] = {}
    for at, some in within[["frame", "particles"]].itertuples(index=False):
        for number in map(int, some.split()):
            changed.setdefault(number, []).append(int(at))
    frames = drift.loc[drift["cut_row_px"].notna(), "frame"].to_numpy(dtype=int)
    inside, near_inside = (_frames_by_particle(_in_field(true, folder, drift, by)) for by in (_ASIDE_PX, -_ASIDE_PX))
    rows = []
    for particle, near in near_inside.items():
        deep = inside.get(particle, np.array([], dtype=int))
        # A particle on the edge does not cross it with every pixel by which crops move.
        state = pd.Series(np.where(np.isin(frames, deep), 1.0, np.where(np.isin(frames, near), np.nan, 0.0)))
        shown = state.ffill().bfill().to_numpy() > 0
        for i in np.flatnonzero(shown[1:] != shown[:-1]):
            # A particle that appeared or vanished did not cross.
            if not any(frames[i] < at <= frames[i + 1] for at in changed.get(particle, [])):
                rows.append((frames[i + 1], CROSSINGS[0 if shown[i] else 1], str(particle)))
    crossings = pd.DataFrame(rows, columns=["frame", "kind", "particles"])
    return pd.concat([within, crossings], ignore_index=True) if rows else within


def _frames_by_particle(tracks: pd.DataFrame) -> dict[int, np.ndarray]:
    return {int(str(particle)): frames.to_numpy() for particle, frames in tracks.groupby("particle")["frame"]}


def _read_csv(path: Path, absent: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype={"particles": str})
    except FileNotFoundError as error:
        raise UsageError(absent) from error
    except (OSError, ValueError) as error:
        raise ReadError(f"'{path}' cannot be read as a table.") from error


def _read_truth(path: Path, needed: tuple[str, ...]) -> pd.DataFrame | None:
    if not path.exists():
        return None
    table = _read_csv(path, "")
    if missing := [name for name in needed if name not in table]:
        raise ReadError(f"'{path}' has no column {missing[0]}: it needs {', '.join(needed)}.")
    if "particles" in table:
        # A tuple as Python writes it, or numbers separated by spaces.
        table["particles"] = [" ".join(re.findall(r"\d+", str(some))) for some in table["particles"]]
    return table
