"""From a set of images to statistics of all tiles on one grey scale."""

from emscout.crystals.survey.images import ImageSource
from emscout.crystals.survey.steps import SmallImage
from emscout.crystals.survey.survey import Survey, survey_images

__all__ = ["ImageSource", "SmallImage", "Survey", "survey_images"]
