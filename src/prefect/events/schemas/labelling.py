"""Sets of labels, as events describe resources with."""

from prefect._schemas.labels import LabelDiver, Labelled

__all__ = ["LabelDiver", "Labelled"]
