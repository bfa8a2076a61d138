"""Problem sizes and devices as typed: one, several with commas between, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spak.kg.files.loader import Laws
from spak.kg.model.hardware import device_node, hardware_facts
from spak.kg.model.op import Op
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import complete
from spak.tuner.backend.compile.backend import can_predict
from spak.tuner.engine import session
from spak.tuner.engine.surroundings import Choice
from spak.tuner.errors import TunerError

ALL = "all"
"""Every problem size that the op names, or every device there is."""


def names_several(text: str) -> bool:
    """Whether more than one device or problem size is meant."""
    return text.strip() == ALL or ("," in text and "=" not in text)


@dataclass(frozen=True)
class NamedDevices:
    """Devices asked for.

    Attributes:
        ids: Hardware ids that can be searched.
        notes: What `all` leaves out, and why.
    """

    ids: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_devices_there(devices: Sequence[str], laws: Laws, choice: Choice, there: Sequence[str]) -> None:
    """Check that what runs may be recorded for each of `devices`.

    Raises:
        KgError: If this machine's GPU is another.
        TunerError: If no GPU of all machines is one.
    """
    if not there:
        for hw in devices:
            choice.check(laws, hw)
        return
    known = {device_node(laws.hardware, name) for name in there}
    missing = [hw for hw in devices if hw not in known]
    if missing:
        raise TunerError(
            f"hw: no GPU of the fleet is a {missing[0]}; there are {', '.join(sorted(set(there)))}; "
            "--backend compile needs none"
        )


def named_devices(text: str, laws: Laws, choice: Choice, there: Sequence[str] = ()) -> NamedDevices:
    """The devices asked for; `there` are the names of those of all machines, where it is more than this one.

    Raises:
        UnknownNameError: If one is unknown; carries the nearest.
        TunerError: If all are meant and nothing is known of any.
    """
    if text.strip() == ALL:
        return _all_there(laws, there or [choice.device]) if choice.device else _all_compiled_for(laws)
    named = [part.strip() for part in text.split(",") if part.strip()]
    named = named or [choice.device or session.usual(laws.hardware, "hardware")]
    tree = Taxonomy("hardware", laws.hardware)
    return NamedDevices(tuple(dict.fromkeys(tree.resolve(one) for one in named)))


def _all_there(laws: Laws, there: Sequence[str]) -> NamedDevices:
    """Those that GPUs are; what the hardware tree does not know is left out, as are all other devices of it."""
    nodes = {name: device_node(laws.hardware, name) for name in there}
    ids = tuple(dict.fromkeys(node for node in nodes.values() if node is not None))
    unknown = sorted(name for name, node in nodes.items() if node is None)
    if not ids:
        raise TunerError(f"hw: laws/hardware knows no {unknown[0]}; add it there, see kg new hardware --help")
    notes = [f"left out, as laws/hardware does not know them: {', '.join(unknown)}."] if unknown else []
    others = sorted({node.id for node in laws.hardware.values() if node.kind == "device"} - set(ids))
    notes += [f"left out, as no GPU here is one: {', '.join(others)}; --backend compile needs none."] if others else []
    return NamedDevices(ids, tuple(notes))


def _all_compiled_for(laws: Laws) -> NamedDevices:
    """Those whose facts say what to compile for and how fast they are."""
    facts = {node.id: hardware_facts(laws, node.id) for node in laws.hardware.values() if node.kind == "device"}
    ids = tuple(sorted(hw for hw, known in facts.items() if can_predict(known)))
    others = sorted(facts.keys() - set(ids))
    notes = [f"left out, as laws/hardware lacks facts that predict times: {', '.join(others)}."] if others else []
    if not ids:
        raise TunerError("hw: of no device do the hardware facts say how fast it is; add them under laws/hardware")
    return NamedDevices(ids, tuple(notes))


def named_sizes(text: str, op: Op) -> list[str]:
    """Names of the problem sizes asked for, one for each size; a size in values, or the default one, is itself.

    Raises:
        TunerError: If the op names no sizes where all are asked for.
    """
    if text.strip() != ALL:
        parts = [text] if "=" in text else [part.strip() for part in text.split(",") if part.strip()]
        return list(dict.fromkeys(parts)) or [""]
    found: dict[str, str] = {}
    for name, size in op.problems.items():
        found.setdefault(repr(sorted(complete(op, size).items())), name)
    if not found:
        raise TunerError(f"problem: op {op.id!r} names no problem sizes; name one as name=value,...")
    return list(found.values())


def named_weights(text: str, names: set[str]) -> dict[str, float]:
    """What each named problem size counts.

    Raises:
        TunerError: If a size is none of the search, or a weight no positive number.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.partition("=")
        if name not in names:
            raise TunerError(f"weights: {name!r} is none of the problem sizes searched: {', '.join(sorted(names))}")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = 0.0
        if not 0 < found[name] < float("inf"):
            raise TunerError(f"weights: {name}: a positive number (got {number!r})")
    return found
