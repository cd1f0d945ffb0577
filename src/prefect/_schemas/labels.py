"""Sets of labels: what tells one resource of an event from another."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping

from pydantic import ConfigDict, RootModel


class LabelDiver:
    """Labels whose names have dots in them, read as attributes.

    `labels.prefect.resource.id` is the label `prefect.resource.id`; `str()` of a place is the label's value.

    Args:
        labels: names and values.
        value: the value of the label that ends here.
    """

    __slots__ = ("_labels", "_value")

    def __init__(self, labels: Mapping[str, str], value: str = "") -> None:
        self._labels = dict(labels)
        self._value = value

    def __getattr__(self, name: str) -> LabelDiver:
        if name.startswith("_"):
            raise AttributeError(name)
        prefix = f"{name}."
        below = {label.removeprefix(prefix): v for label, v in self._labels.items() if label.startswith(prefix)}
        if not below and name not in self._labels:
            raise AttributeError(f"No label is named {name!r} or begins with {prefix!r}.")
        return LabelDiver(below, self._labels.get(name, ""))

    def __getitem__(self, label: str) -> str:
        return self._labels[label]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._labels.items())

    def __len__(self) -> int:
        return len(self._labels)

    def __bool__(self) -> bool:
        return bool(self._value or self._labels)

    def __str__(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"LabelDiver({self._labels!r}, value={self._value!r})"


class Labelled(RootModel[dict[str, str]]):
    """Something that is described by labels: names and values, both text."""

    model_config = ConfigDict(defer_build=True)

    root: dict[str, str]

    def keys(self) -> KeysView[str]:
        """The names of the labels."""
        return self.root.keys()

    def items(self) -> ItemsView[str, str]:
        """The names and values of the labels."""
        return self.root.items()

    def __getitem__(self, label: str) -> str:
        return self.root[label]

    def __setitem__(self, label: str, value: str) -> None:
        self.root[label] = value

    def __contains__(self, label: object) -> bool:
        return label in self.root

    def get(self, label: str, default: str | None = None) -> str | None:
        """The value of a label, or `default` when there is none of that name."""
        return self.root.get(label, default)

    def as_label_value_array(self) -> list[dict[str, str]]:
        """The labels as a list of `{"label": name, "value": value}`."""
        return [{"label": label, "value": value} for label, value in self.root.items()]

    @property
    def labels(self) -> LabelDiver:
        """The labels as nested attributes."""
        return LabelDiver(self.root)

    def has_all_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether all of these labels are here with these values."""
        return all(self.root.get(label) == value for label, value in labels.items())
