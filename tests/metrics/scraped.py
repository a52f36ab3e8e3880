"""The page of /metrics, read as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(page: str) -> Samples:
    """All samples by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: object) -> float:
    """The sum over all series of a name that have these labels."""
    wanted = {(label, str(value)) for label, value in labels.items()}
    return sum(value for (found, has), value in samples.items() if found == name and wanted <= has)


def values(samples: Samples, label: str) -> set[str]:
    """What a label is, wherever it stands."""
    return {value for _, labels in samples for name, value in labels if name == label}
