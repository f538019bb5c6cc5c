"""The pages there are: a new one is a module and a line here."""

from emscout.app.analyze import PAGE as ANALYZE
from emscout.app.classify import PAGE as CLASSIFY
from emscout.app.locate import PAGE as LOCATE
from emscout.app.movie import PAGE as MOVIE
from emscout.app.page import Page

__all__ = ["PAGES"]

PAGES: dict[str, Page] = {"locate": LOCATE, "analyze": ANALYZE, "movie": MOVIE, "classify": CLASSIFY}
