"""The folder of results of a movie: what is finished frame by frame, and what is put together at the end.

The labels of each frame lie in ``OUT/labels``; its table is kept under ``OUT/.finished`` and bears the key of what it
was made from, so that a run that was stopped goes on with the frame where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import tifffile

from emscout.compute import Progress
from emscout.errors import ReadError
from emscout.io.files import write_atomic
from emscout.io.run_folder import write_json
from emscout.micrograph import Calibration, Series
from emscout.movies.registration.drift import shift_frame
from emscout.report.exporters import write_labels

__all__ = [
    "FILES",
    "FOLDERS",
    "finished_frame",
    "load_note",
    "read_frames",
    "read_labels",
    "save_frame",
    "save_note",
    "write_aligned",
    "write_table",
    "write_tracks",
]

TABLES = ("drift", "tracks", "events", "curves", "particles", "growth", "shapes")
FILES = (
    *(f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")),
    *("report.html", "aligned.ome.tif", "movie.mp4", "movie.gif"),
)
FOLDERS = (".finished", "labels", "pictures")

# What linking and all that follows needs of a frame; its other measurements stay on disk.
_NEEDED = (
    *("frame", "label", "row_px", "col_px", "row_frame_px", "col_frame_px"),
    *("area_px2", "area_low_px2", "area_high_px2", "equivalent_circular_diameter_px"),
    *("equivalent_circular_diameter_nm", "touches_border", "probability", "uncertainty_nats"),
)


def _table_of(out: Path, frame: int) -> Path:
    return out / ".finished" / f"frame_{frame:06d}.parquet"


def labels_of(out: Path, frame: int) -> Path:
    """Where the labels of a frame are."""
    return out / "labels" / f"frame_{frame:06d}.tif"


def save_frame(
    out: Path, frame: int, labels: np.ndarray, table: pd.DataFrame, key: str, calibration: Calibration | None
) -> None:
    """Keep the labels and the table of a frame, under the key of what they were made from."""
    with write_atomic(labels_of(out, frame)) as path:
        write_labels(path, labels, None if calibration is None else calibration.nm_per_px)
    content = pyarrow.Table.from_pandas(table, preserve_index=False)
    content = content.replace_schema_metadata({**(content.schema.metadata or {}), b"emscout": key.encode()})
    # Last, because it says that the labels are there.
    with write_atomic(_table_of(out, frame)) as path:
        pyarrow.parquet.write_table(content, path)


def finished_frame(out: Path, frame: int, key: str) -> bool:
    """Whether a frame was saved under this key."""
    try:
        metadata = pyarrow.parquet.read_schema(_table_of(out, frame)).metadata or {}
    except (OSError, pyarrow.ArrowException):
        return False
    return metadata.get(b"emscout") == key.encode() and labels_of(out, frame).exists()


def read_labels(out: Path, frame: int) -> np.ndarray:
    """The labels of a frame, of what was cut out of it.

    Raises
    ------
    ReadError
        When the file is gone or damaged.
    """
    path = labels_of(out, frame)
    try:
        return tifffile.imread(path)
    except Exception as error:
        raise ReadError(f"'{path}' is gone or damaged: run the movie again with `overwrite=True`.") from error


def read_frames(out: Path, frames: Sequence[int]) -> pd.DataFrame:
    """What linking needs of all frames, in one table."""
    parts = []
    for frame in frames:
        path = _table_of(out, frame)
        names = pyarrow.parquet.read_schema(path).names
        parts.append(pd.read_parquet(path, columns=[name for name in _NEEDED if name in names]))
    filled = [part for part in parts if len(part)] or parts[:1]
    # An empty frame, seen without its model, has fewer columns.
    columns = max((list(part.columns) for part in filled), key=len)
    return pd.concat(filled, ignore_index=True).reindex(columns=columns)


def write_tracks(
    out: Path, tracks: pd.DataFrame, times_s: np.ndarray | None, frames: Sequence[int], *, parquet: bool
) -> None:
    """Write every measurement of every particle and frame, with its number in time, a frame at a time.

    Parameters
    ----------
    out : Path
    tracks : DataFrame
        ``frame``, ``label`` and ``particle``.
    times_s : ndarray or None
    frames : sequence of int
        Those that were measured.
    parquet : bool
        Also as Parquet.
    """
    numbers = dict(iter(tracks.groupby("frame")[["label", "particle"]]))
    columns = max((pyarrow.parquet.read_schema(_table_of(out, frame)).names for frame in frames), key=len)

    def tables() -> Iterator[pd.DataFrame]:
        for frame in frames:
            table = pd.read_parquet(_table_of(out, frame)).reindex(columns=columns)
            named = numbers.get(frame)
            by_label = pd.Series(dtype=np.int64) if named is None else named.set_index("label")["particle"]
            table.insert(1, "particle", by_label.reindex(table["label"]).to_numpy(dtype=np.int64))
            if times_s is not None:
                table.insert(1, "time_s", times_s[frame])
            yield table

    with write_atomic(out / "tracks.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        for k, table in enumerate(tables()):
            table.to_csv(file, index=False, header=k == 0, float_format="%.7g", lineterminator="\n")
    if parquet:
        with write_atomic(out / "tracks.parquet") as path, suppress(StopIteration):
            filled = (table for table in tables() if len(table))
            first = next(filled)
            schema = pyarrow.Schema.from_pandas(first, preserve_index=False)
            with pyarrow.parquet.ParquetWriter(path, schema) as writer:
                for table in (first, *filled):
                    writer.write_table(pyarrow.Table.from_pandas(table, schema=schema, preserve_index=False))


def write_table(out: Path, name: str, table: pd.DataFrame, *, parquet: bool = False) -> None:
    """Write a table as CSV, and as Parquet where asked for."""
    with write_atomic(out / f"{name}.csv") as path:
        table.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    if parquet:
        with write_atomic(out / f"{name}.parquet") as path:
            table.to_parquet(path, index=False)


def save_note(out: Path, name: str, content: Mapping[str, object]) -> None:
    """Keep something small that a run which goes on need not find again."""
    (out / ".finished").mkdir(exist_ok=True)
    write_json(out / ".finished" / f"{name}.json", dict(content))


def load_note(out: Path, name: str, key: str) -> dict | None:
    """What `save_note` kept with this ``key`` in it, or ``None``."""
    try:
        note = json.loads((out / ".finished" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and note.get("key") == key else None


def write_aligned(
    out: Path,
    series: Series,
    drift: pd.DataFrame,
    field: tuple[slice, slice],
    progress: Progress | None = None,
) -> None:
    """Write the movie with its drift taken off as OME-TIFF, a frame at a time.

    Parameters
    ----------
    out : Path
    series : Series
    drift : DataFrame
        From `estimate_drift`.
    field : (slice, slice)
        What is shown, in pixels of the first good frame. A frame that cannot be read is black.
    progress : callable or None
    """
    shape = tuple(part.stop - part.start for part in field)
    places = drift[["row_px", "col_px"]].to_numpy()

    def frames() -> Iterator[np.ndarray]:
        for i in range(len(series)):
            if progress is not None:
                progress(i, len(series), f"aligned frame {i}")
            try:
                yield np.ascontiguousarray(shift_frame(series[i].image, tuple(-places[i]), order=3)[field])
            except ReadError:
                yield np.zeros(shape, series.dtype)

    metadata: dict[str, object] = {"axes": "TYX"}
    if series.calibration is not None:
        for axis in "XY":
            metadata |= {
                f"PhysicalSize{axis}": series.calibration.nm_per_px,
                f"PhysicalSize{axis}Unit": "nm",
            }
    if series.times_s is not None:
        metadata |= {"TimeIncrement": float(np.median(np.diff(series.times_s))), "TimeIncrementUnit": "s"}
    size = len(series) * int(np.prod(shape)) * series.dtype.itemsize
    with write_atomic(out / "aligned.ome.tif") as path:
        tifffile.imwrite(
            path,
            frames(),
            shape=(len(series), *shape),
            dtype=series.dtype,
            bigtiff=size > 2**32 - 2**25,
            photometric="minisblack",
            ome=True,
            metadata=metadata,
        )
