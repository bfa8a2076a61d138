"""What a kind of law is: everything the rest of the house asks of a law without knowing its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

import msgspec

from spak.kg.expression import Expression, parse
from spak.kg.law.feature_cases import feature_cases
from spak.kg.law.refutable import ClaimFlaw, effect_flaws, effects_of
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import Bound, Law, Tier

if TYPE_CHECKING:
    from spak.kg.model.op import Op
    from spak.kg.space.masks import FactoredMask
    from spak.kg.space.space import Extent, Space

L_co = TypeVar("L_co", bound=Law, covariant=True)

Stance = Literal["against", "for", "indifferent", "undecided", "silent"]
"""What a law says of one configuration; `silent`: the configuration is outside its claim."""

STANCES: tuple[Stance, ...] = ("against", "for", "indifferent", "undecided", "silent")
"""Every stance, what a person must know first before the rest."""


class Power(Enum):
    """What a law does to a search."""

    REMOVE = "removes"
    POSTPONE = "postpones"
    PREFER = "prefers"
    NOTHING = "no effect"


@dataclass(frozen=True)
class Verdict:
    """What one claim says of values, whatever its scope; if `undecided`, the names whose values would decide it."""

    stance: Stance
    reason: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Region:
    """What a law names of one space.

    Attributes:
        mask: The configurations it speaks of; None if it names none, or that takes compiled features.
        worse: Those that it calls worse than `mask`, of a law that compares two.
        after: What it says of compiled features; None if it says nothing of them.
        note: Why it names none, or what stays of what it names.
    """

    mask: FactoredMask | None = None
    worse: FactoredMask | None = None
    after: Expression | None = None
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it speaks of nothing in the space, compiled or not."""
        return self.mask is None and self.after is None


@dataclass(frozen=True)
class EffectTest:
    """Trials can test a claim by whether every configuration for which `region` is true shows its effect."""

    region: Expression


@dataclass(frozen=True)
class SettingTest:
    """Trials can test a claim by the best with `setting` against the best with one of `over`; empty: with any other."""

    setting: Mapping[str, Scalar]
    over: tuple[Mapping[str, Scalar], ...] = ()


@dataclass(frozen=True)
class AxisTest:
    """Trials can test a claim by configurations alike but for `name`: `values` differ in time by `margin` at most."""

    name: str
    values: tuple[Scalar, ...]
    margin: float


@dataclass(frozen=True)
class RewriteTest:
    """Trials can test a claim by times of the system `to` beside one of the system `source`, taken in the same rounds."""

    source: str
    to: str


TrialTest = EffectTest | SettingTest | AxisTest | RewriteTest


@dataclass(frozen=True)
class Mention:
    """A place in a claim that names something, for whoever checks that there is such a thing.

    Attributes:
        field: Where, as in a law file.
        what: `expression`: a text over parameters, problem parameters, features and facts; `parameter`, `system`: a name.
        at_key: Whether the name is a key of the mapping at `field`, not its value.
    """

    field: str
    what: Literal["expression", "parameter", "system"]
    value: str
    at_key: bool = False


class Meaning(ABC, Generic[L_co]):
    """What one law means. A kind of law is one subclass: its file, and a line in `spak.kg.law.kinds.KINDS`.

    Attributes:
        model: The kind's law file.
        verb: What such a law tells a person to do.
        rank: Its place in a list for people: safety first, then what to do, what not to do, what need not be looked at.
        power: The most that such a law may do to a search.
        powerless: Why, where that is nothing.
        tier: The tier that can show a claim of this kind that bounds no effect.
        about_effects: Whether such a law is about what its effects say, and claims nothing without one.
    """

    model: ClassVar[type[Law]]
    verb: ClassVar[str]
    rank: ClassVar[int]
    power: ClassVar[Power] = Power.NOTHING
    powerless: ClassVar[str] = ""
    tier: ClassVar[Tier] = "measured"
    about_effects: ClassVar[bool] = False

    def __init__(self, law: L_co) -> None:
        """The meaning of `law`."""
        self.law = law

    @classmethod
    def tag(cls) -> str:
        """`kind` in a law file."""
        return str(cls.model.__struct_config__.tag)

    @classmethod
    def required(cls) -> tuple[str, ...]:
        """What a claim of this kind must state, as keys of a law file."""
        claim = next(field.type for field in msgspec.structs.fields(cls.model) if field.name == "claim")
        needed = tuple(field.encode_name for field in msgspec.structs.fields(claim) if field.required)
        return (*needed, "effect") if cls.about_effects else needed

    @property
    def names(self) -> frozenset[str]:
        """Every name the claim is about: parameters, problem parameters, compiled features, hardware facts."""
        return frozenset()

    @property
    def removal(self) -> Expression | None:
        """What it forbids: true for a configuration that must not be; None of a law that forbids nothing."""
        return None

    @property
    def preferred(self) -> Mapping[str, Scalar]:
        """The setting that it recommends; empty of a law that recommends none."""
        return {}

    @property
    def rewrites(self) -> tuple[str, str] | None:
        """The systems that it leads from and to; None of a law about one."""
        return None

    @property
    def is_safety(self) -> bool:
        """Whether breaking it may hang the machine or give wrong numbers: such a law is never audited.

        It depends on what the claim is about. What fails to compile or to start is no matter of safety: a trial of it
        costs a trial.
        """
        return False

    @property
    def check(self) -> str:
        """Name of the check that shows what it says of numbers; empty if it names none."""
        return ""

    def flaws(self) -> Iterator[ClaimFlaw]:
        """Why the claim is none: nothing could refute it, or it contradicts itself. Such a law removes nothing."""
        if self.about_effects and not self.law.claim.effect:
            known = ", ".join(effects_of(self.tag()))
            yield ClaimFlaw("claim", f"bounds no effect, so nothing could refute it; add effect with one of {known}")
        yield from effect_flaws(self.tag(), self.law.claim.effect)

    @property
    def bounds(self) -> dict[str, Bound]:
        """What the claim says of each effect."""
        return dict(self.law.claim.effect)

    @property
    def margin(self) -> float | None:
        """How much the claim leaves open besides its bounds, narrower is stronger; None if nothing."""
        return None

    @property
    def test(self) -> TrialTest | None:
        """How trials tell whether it is true; None if they cannot."""
        return None

    @property
    def subject(self) -> object:
        """What the claim is about, without how much it says."""
        return msgspec.structs.replace(self.law.claim, because="", effect={})

    @property
    @abstractmethod
    def text(self) -> str:
        """The claim in the form a file or a person would write it, after its verb."""

    @property
    @abstractmethod
    def advice(self) -> str:
        """The claim as a clause."""

    @abstractmethod
    def verdict(self, known: Mapping[str, Scalar]) -> Verdict:
        """What the claim says of values by name (`hw.<fact>` of facts), some of which may be missing."""

    @abstractmethod
    def mentions(self) -> Iterator[Mention]:
        """Every place in the claim that names something."""

    def region(self, space: Space) -> Region:
        """What it names of `space`, for a search."""
        del space
        return Region(note=self.powerless)

    def reach(self, space: Space) -> Extent | None:
        """Of how much of `space` it speaks; None if nobody can say before compiling, or it speaks of no settings.

        A law that forbids speaks of what it forbids.
        """
        return None if self.removal is None else reach_of(self.removal, space)

    def replaces(self, configuration: Configuration, op: Op) -> bool:
        """Whether a search of `op` leaves `configuration` out because another, which the law calls as fast, stands for it."""
        del configuration, op
        return False

    def against(self, space: Space) -> FactoredMask | None:
        """What it speaks against; None if nothing, or if that takes compiled features."""
        return self.region(space).mask

    def covers(self, special: Law) -> bool:
        """Whether it is about all that `special`, a law of the same kind, is about; what both remove is not compared."""
        del special
        return False


@lru_cache(maxsize=4096)
def negated(text: str) -> Expression:
    """What violates the expression `text`."""
    return parse(text).negate()


def decided(text: str, known: Mapping[str, Scalar], *, true: Verdict, false: Verdict) -> Verdict:
    """The verdict of a claim that the expression `text` decides."""
    rest = parse(text).partial(known)
    if isinstance(rest, bool):
        return true if rest else false
    condition = f"against it {'if' if true.stance == 'against' else 'unless'} {rest.text}"
    return Verdict("undecided", condition, tuple(sorted(rest.all_names)))


def region_of(expression: Expression, space: Space) -> Region:
    """The configurations of `space` for which `expression` is true."""
    if space.speaks_of(expression):
        return Region(mask=space.truth(expression))
    foreign = expression.all_names - set(space.names) - space.setting.names.keys()
    if foreign <= COMPILED_FEATURES.keys():
        return Region(after=expression)
    words = ", ".join(sorted(foreign - COMPILED_FEATURES.keys()))
    return Region(note=f"{words} is no parameter here: the kernel's own code decides it")


def reach_of(expression: Expression, space: Space) -> Extent | None:
    """Of how much of `space` `expression` is true, whatever a compiler makes of it; None if nobody can say."""
    if space.speaks_of(expression):
        return space.extent(expression)
    foreign = expression.all_names - set(space.names) - space.setting.names.keys()
    cases = feature_cases(expression) if foreign <= COMPILED_FEATURES.keys() else None
    found: set[Extent] = set()
    for case in cases or ():
        left = expression.partial(case)
        found.add(("everything" if left else "nothing") if isinstance(left, bool) else space.extent(left))
    return found.pop() if len(found) == 1 else "something" if found else None
