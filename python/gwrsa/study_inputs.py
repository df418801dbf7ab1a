"""From the settings of a study to its representations: files read, networks run, noise drawn, rows matched by label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gwrsa import loaders
from gwrsa.embedding import Embedding
from gwrsa.loaders import Categories
from gwrsa.rdm import RDM
from gwrsa.shards import digest, file_digest
from gwrsa.study_settings import Human, Model, Settings
from gwrsa.triplets import Triplets


@dataclass
class Inputs:
    """Reads what the settings name, and keeps a hash of every file it read."""

    settings: Settings
    base: Path
    """Folder that paths are relative to."""
    hashes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path as the settings give it: sha256 and bytes."""
    by_position: list[str] = field(default_factory=list)
    """Sides without labels, whose rows were taken to be in the order of the human side's."""
    _stamps: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict, repr=False)

    def hash_all(self) -> None:
        """Hash every file that the settings name.

        Raises
        ------
        FileNotFoundError
            If one is not there.
        """
        self.check_there()
        for _, path in self._named():
            self._hash(path)

    def check_apart(self, folder: Path) -> None:
        """The study's own folder must not be among the images, which are hashed.

        Raises
        ------
        ValueError
            If it is.
        """
        root = self.settings.images.root
        if root is not None and folder.resolve().is_relative_to((self.base / root).resolve()):
            raise ValueError(f"out must not be images.root or in it, got {str(folder)!r} and {root!r}")

    def check_there(self) -> None:
        """Every file that the settings name has to be there.

        Raises
        ------
        FileNotFoundError
            That says which key names one that is not.
        """
        for key, path in self._named():
            if not (self.base / path).exists():
                raise FileNotFoundError(
                    f"{key} must be there, got {path!r}: there is no {(self.base / path).absolute()}; a relative path "
                    "begins at the study file, or at the folder of --data (base in Python); an absolute one is taken as it is"
                )

    def _named(self) -> Iterator[tuple[str, str]]:
        """Key and path of every file that the settings name."""
        s = self.settings
        sides: list[tuple[str, Any, tuple[str, ...]]] = [
            ("", s, ("items", "objects")),
            ("categories.", s.categories, ("file",)),
            ("images.", s.images, ("root",)),
            ("human.", s.human, ("embedding", "rdm", "triplets", "calibrate", "items")),
        ]
        for i, model in enumerate(s.models):
            sides.append((f"models[{i}].", model, ("texts", "checkpoint", "items", "embedding", "rdm")))
        for where, side, keys in sides:
            for key in keys:
                path = getattr(side, key)
                if path is not None:
                    seeds = side.seeds if "{seed}" in path and key in ("embedding", "rdm") else 1
                    for seed in range(seeds):
                        yield where + key, path.replace("{seed}", str(seed)) if seeds > 1 else path

    def human(self) -> Embedding | RDM:
        """The human side, of the study's objects in their order."""
        h = self.settings.human
        side: Embedding | RDM
        if h.triplets is not None:
            side = Triplets.load(self.base / h.triplets, items=self._labels(h), key=h.key, name=h.name).rdm(h.missing)  # type: ignore[arg-type]
        else:
            side = self._file(h, 0)
        if h.calibrate is not None and isinstance(side, Embedding):
            from gwrsa.choice import calibrate

            side = calibrate(side, Triplets.load(self.base / h.calibrate, items=self._labels(h)))
        if self.settings.objects is not None:
            chosen = loaders.load_items(self.base / self.settings.objects)
            try:
                side = _of_objects(side, h.metric, chosen)
            except ValueError as error:
                raise ValueError(
                    f"objects must be a file of objects of the human side, got {self.settings.objects!r}: {error}"
                ) from error
        return side

    def model(self, model: Model, replicate: int, human: Embedding | RDM, *, progress: bool) -> Embedding | RDM:
        """A replicate of a model, its rows in the order of the human side's.

        Raises
        ------
        ValueError
            If objects of the human side are missing, or, without labels, the number of objects differs.
        """
        if model.noise is not None:
            return self._noise(model, replicate, human)
        side = self._extract(model, replicate, progress=progress) if model.extract else self._file(model, replicate)
        if side.items is not None and human.items is not None:
            try:
                return side if side.items == human.items else _of_objects(side, model.metric, human.items)
            except ValueError as error:
                raise ValueError(f"model {model.name!r} must hold all objects of the study: {error}") from error
        if len(side) != len(human):
            raise ValueError(
                f"model {model.name!r} must hold the {len(human)} objects of the study where there are no labels "
                f"to match them by, got {len(side)}; give items"
            )
        if model.name not in self.by_position:
            self.by_position.append(model.name)
        # The human labels are taken over: later steps compare them.
        return _labelled(side, human.items)

    def categories(self, human: Embedding | RDM) -> Categories | None:
        """Of the study's objects, in their order; None without a file."""
        c = self.settings.categories
        if c.file is None:
            return None
        found = loaders.load_categories(self.base / c.file)
        try:
            for name in c.drop:
                found = found.without(name)
        except ValueError as error:
            raise ValueError(f"categories.drop must name categories of {c.file!r} and leave one: {error}") from error
        if human.items is not None:
            try:
                return found.select(human.items)
            except ValueError as error:
                raise ValueError(
                    f"categories.file must hold all objects of the study, got {c.file!r}: {error}"
                ) from error
        if len(found) != len(human):
            raise ValueError(
                f"the human side {human.name!r} must have labels, or as many objects as categories.file, got {len(human)} without "
                f"labels and {len(found)}; give items, a file of labels"
            )
        return found

    def _file(self, side: Human | Model, replicate: int) -> Embedding | RDM:
        read = Embedding.load if side.embedding is not None else RDM.load
        path = str(side.embedding or side.rdm).replace("{seed}", str(replicate))
        loaded: Embedding | RDM = read(self.base / path, key=side.key, name=side.name)
        labels = self._labels(side)
        # Labels of the file win over the study's, but not over the side's own.
        if labels is not None and (side.items is not None or loaded.items is None):
            loaded = read(self.base / path, items=labels, key=side.key, name=side.name)
        return loaded

    def _labels(self, side: Human | Model) -> Path | None:
        given = side.items or self.settings.items
        return None if given is None else self.base / given

    def _extract(self, model: Model, replicate: int, *, progress: bool) -> Embedding:
        from gwrsa.extraction.run import extract

        made = extract(
            self.base / self._shown(model),
            str(model.extract),
            module=model.module,
            checkpoint=None if model.checkpoint is None else self.base / model.checkpoint,
            pretrained=model.pretrained,
            seed=replicate,
            batch_size=model.batch_size,
            device=model.device,
            preprocessing=model.preprocessing,
            match=model.match,  # type: ignore[arg-type]  # checked with the settings
            broken=model.broken,  # type: ignore[arg-type]
            progress=progress,
        )
        return Embedding(made.values, made.items, name=model.name, meta=made.meta)

    def check_extraction(self, model: Model) -> None:
        """What can be said of a network before one is run.

        Raises
        ------
        ValueError
            If it has nothing to see, or is not as `gwrsa.extract` wants it; see `gwrsa.extraction.registry`.
        ImportError
            If its library is missing.
        """
        from gwrsa.extraction.registry import check_arguments

        self._shown(model)
        check_arguments(
            str(model.extract),
            checkpoint=None if model.checkpoint is None else self.base / model.checkpoint,
            pretrained=model.pretrained,
            preprocessing=model.preprocessing,
            match=model.match,
        )

    def _shown(self, model: Model) -> str:
        shown = model.texts or self.settings.images.root
        if shown is None:
            raise ValueError(f"model {model.name!r} must have texts, or the study images.root, to be extracted")
        return shown

    @staticmethod
    def _noise(model: Model, replicate: int, human: Embedding | RDM) -> Embedding | RDM:
        rng = np.random.default_rng([replicate, 0x6E6F697365])  # a stream of its own
        if model.noise == "dissimilarities":
            values = rng.uniform(size=len(human) * (len(human) - 1) // 2)
            return RDM(values, human.items, name=model.name)
        if model.dims is None and not isinstance(human, Embedding):
            raise ValueError(f"model {model.name!r} must have dims: the human side is no embedding that has some")
        dims = model.dims or human.values.shape[1]  # type: ignore[union-attr]  # an embedding, as checked
        return Embedding(rng.standard_normal((len(human), dims)), human.items, name=model.name)

    def check_unchanged(self) -> None:
        """What was read has to be what was hashed.

        Raises
        ------
        ValueError
            If a file has changed since `hash_all`.
        """
        for path, stamp in self._stamps.items():
            where = self.base / path
            if not where.exists() or (_stamp(where) != stamp and hashed(where) != self.hashes[path]):
                raise ValueError(
                    f"the study names {path!r}, which changed while it was read; run again when it is as it should be"
                )

    def _hash(self, path: str) -> None:
        if path in self.hashes:
            return
        where = self.base / path
        self._stamps[path] = _stamp(where)
        self.hashes[path] = hashed(where)


def hashed(where: Path) -> dict[str, Any]:
    """Hash and bytes of a file, or of a folder."""
    if where.is_dir():
        listed = [[str(p.relative_to(where)), file_digest(p)] for p in _files(where)]
        return {"sha256": digest(listed), "bytes": sum(p.stat().st_size for p in _files(where))}
    return {"sha256": file_digest(where), "bytes": where.stat().st_size}


def _files(where: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """The file, or those of a folder but hidden ones, in order: through links to folders too, as networks are shown them."""
    if not where.is_dir():
        return [where]
    real = where.resolve()
    if real in above:  # a link that leads back
        return []
    inside = (_files(p, (*above, real)) for p in where.iterdir() if not p.name.startswith("."))
    return sorted(p for files in inside for p in files if p.is_file())


def _stamp(where: Path) -> list[tuple[str, int, int]]:
    """What changes when a file is written to; cheaper than its hash."""
    seen = ((p, p.stat()) for p in _files(where))
    return [(str(p), s.st_size, s.st_mtime_ns) for p, s in seen]


def _of_objects(side: Embedding | RDM, metric: str, items: tuple[str, ...]) -> Embedding | RDM:
    """Those objects of a side. Choices among three are averaged over all objects that it holds, whichever of them are studied."""
    if metric == "choice" and isinstance(side, Embedding) and len(items) < len(side):
        return side.rdm("choice").select(items)
    return side.select(items)


def _labelled(side: Embedding | RDM, items: tuple[str, ...] | None) -> Embedding | RDM:
    if isinstance(side, Embedding):
        return Embedding(side.values, items, name=side.name, meta=side.meta)
    return RDM(side.dissimilarities, items, side.metric, side.name)
