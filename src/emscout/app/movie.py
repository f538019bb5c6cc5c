"""The page that follows the particles of an in situ movie."""

from emscout.app.run import report_page
from emscout.movies.follow import MovieOptions, follow

__all__ = ["PAGE"]

PAGE = report_page(
    "movie",
    "Movies",
    "How do the particles change?",
    "An in situ movie: drift corrected, every particle tracked, mergers and losses, and the growth law.",
    MovieOptions,
    ("model", "frame_time", "pixel_size", "diameter"),
    follow,
    input="Movie: a stack, a video or a folder of frames",
    button="Follow",
    suffix="followed",
)
