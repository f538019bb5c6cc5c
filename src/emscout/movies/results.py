"""The folder of results of a movie: what is finished frame by frame, and what is written at the end.

The labels of each frame are in ``OUT/labels``; its table is kept under ``OUT/.finished`` with the key of what it was
made from, so that a stopped run continues at the frame where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from emscout.micrograph import Calibration, Series
from emscout.movies.analyse_tracks import TABLES
from emscout.movies.registration.drift import shift_frame
from emscout.movies.segmentation.segment_frames import join_frames
from emscout.report.exporters import write_labels
from emscout.runs import FINISHED, Finished, Outputs

__all__ = ["OUTPUTS", "is_finished", "read_frames", "read_labels", "save_frame", "write_aligned", "write_tracks"]

OUTPUTS = Outputs(
    (
        *(f"{name}.{kind}" for name in (*TABLES, "warnings") for kind in ("csv", "parquet")),
        *("report.html", "aligned.ome.tif", "movie.mp4", "movie.gif"),
    ),
    ("labels", "pictures"),
)

# What linking and all that follows needs of a frame; its other measurements stay on disk.
_NEEDED = (
    *("frame", "label", "row_px", "col_px", "row_frame_px", "col_frame_px"),
    *("area_px2", "area_low_px2", "area_high_px2", "equivalent_circular_diameter_px"),
    *("equivalent_circular_diameter_nm", "touches_border", "probability", "uncertainty_nats"),
)


def save_frame(
    out: Path, frame: int, labels: np.ndarray, table: pd.DataFrame, key: str, calibration: Calibration | None
) -> None:
    """Keep the labels and the table of a frame, under the key of what they were made from."""
    with write_atomic(_labels_path(out, frame)) as path:
        write_labels(path, labels, None if calibration is None else calibration.nm_per_px)
    with write_atomic(_table_path(out, frame)) as path:
        table.to_parquet(path, index=False)
    # Last, because it says that the others are there.
    Finished(out).save(_name(frame), {"key": key}, len(table))


def is_finished(out: Path, frame: int, key: str) -> bool:
    """Whether a frame was saved under this key."""
    saved = Finished(out).load(_name(frame), {"key": key}) is not None
    return saved and _labels_path(out, frame).exists() and _table_path(out, frame).exists()


def read_labels(out: Path, frame: int) -> np.ndarray:
    """The label image of the crop of a frame.

    Raises
    ------
    ReadError
        When the file is missing or damaged.
    """
    path = _labels_path(out, frame)
    try:
        return tifffile.imread(path)
    except Exception as error:
        raise ReadError(f"'{path}' is missing or damaged: run the movie again with `overwrite=True`.") from error


def read_frames(out: Path, frames: Sequence[int]) -> pd.DataFrame:
    """What linking needs of all frames, in one table."""
    tables = []
    for frame in frames:
        path = _table_path(out, frame)
        names = pyarrow.parquet.read_schema(path).names
        tables.append(pd.read_parquet(path, columns=[name for name in _NEEDED if name in names]))
    return join_frames(tables)


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
    columns = max((pyarrow.parquet.read_schema(_table_path(out, frame)).names for frame in frames), key=len)

    def tables() -> Iterator[pd.DataFrame]:
        for frame in frames:
            table = pd.read_parquet(_table_path(out, frame)).reindex(columns=columns)
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


def write_aligned(
    out: Path,
    series: Series,
    drift: pd.DataFrame,
    field: tuple[slice, slice],
    progress: Progress | None = None,
) -> None:
    """Write the movie with its drift corrected as OME-TIFF, a frame at a time.

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


def _name(frame: int) -> str:
    return f"frame_{frame:06d}"


def _labels_path(out: Path, frame: int) -> Path:
    return out / "labels" / f"{_name(frame)}.tif"


def _table_path(out: Path, frame: int) -> Path:
    return out / FINISHED / f"{_name(frame)}.parquet"
