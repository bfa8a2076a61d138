"""Who takes the place of a member that ended can say with what; who was told to leave, or had nothing in hand, says nothing."""

from __future__ import annotations

import os
import resource
import time

import pytest

from spak.tuner.fleet import begun
from spak.tuner.fleet.begun import FOLDER, InHand, forget, not_survived, piece_name
from spak.tuner.fleet.executor import Piece

PIECE, OTHER = Piece(work="compile", data=b"one"), Piece(work="compile", data=b"other")


def ended(cache, member, *deeds):
    """What a process leaves that does so with what it has in hand, and is killed."""
    child = os.fork()
    if not child:
        in_hand = InHand(cache, member)
        for deed in deeds:
            deed(in_hand)
        os._exit(9)
    os.waitpid(child, 0)


def begins(piece):
    return lambda in_hand: in_hand.begin(piece)


def test_a_member_that_ended_with_a_piece_is_named_with_it(tmp_path):
    ended(tmp_path, "w", begins(OTHER), InHand.end, begins(PIECE))
    assert not_survived(tmp_path, 0.0) == {piece_name(PIECE): "w"}
    assert not_survived(tmp_path, 0.0) == {piece_name(PIECE): "w"}, "whoever asks, and however often"
    assert not_survived(tmp_path, time.time() + 1) == {}, "it was before the search began"


@pytest.mark.parametrize(
    "deeds", [[], [begins(PIECE), InHand.end], [begins(PIECE), InHand.leave], [InHand.leave, begins(PIECE), InHand.end]]
)
def test_who_had_nothing_in_hand_or_was_told_to_leave_says_nothing(tmp_path, deeds):
    ended(tmp_path, "w", *deeds)
    assert not_survived(tmp_path, 0.0) == {}


def test_what_a_member_still_has_in_hand_it_may_survive(tmp_path):
    in_hand = InHand(tmp_path, "w")
    in_hand.begin(PIECE)
    assert not_survived(tmp_path, 0.0) == {}
    forget(tmp_path, {"w"})
    assert len(list((tmp_path / FOLDER).iterdir())) == 1, "only of who has ended"
    in_hand.leave()
    in_hand.leave()
    assert not list((tmp_path / FOLDER).iterdir())


def test_members_that_their_host_ended_are_forgotten_and_no_others(tmp_path):
    ended(tmp_path, "w", begins(PIECE))
    ended(tmp_path, "v", begins(OTHER))
    forget(tmp_path, {"w"})
    assert not_survived(tmp_path, 0.0) == {piece_name(OTHER): "v"}


def test_another_boot_of_the_machine_ended_everybody_without_anybodys_fault(tmp_path, monkeypatch):
    ended(tmp_path, "w", begins(PIECE))
    (tmp_path / "boot").write_text("another\n")
    monkeypatch.setattr(begun, "_BOOT", tmp_path / "boot")
    assert not_survived(tmp_path, 0.0) == {}


@pytest.mark.parametrize(("age_s", "left"), [(0.0, 3), (120.0, 1), (31 * 24 * 3600.0, 0)])
def test_files_that_nobody_needs_any_more_are_removed(tmp_path, age_s, left):
    """Empty ones after a minute, as one may be about to be locked; garbage too; what somebody ended with after a month."""
    ended(tmp_path, "w")
    ended(tmp_path, "v", begins(PIECE))
    (tmp_path / FOLDER / "garbage").write_bytes(b"\xff{")
    for path in (tmp_path / FOLDER).iterdir():
        os.utime(path, (time.time() - age_s,) * 2)
    not_survived(tmp_path, 0.0)
    assert len(list((tmp_path / FOLDER).iterdir())) == left


def test_a_full_disk_costs_no_piece(tmp_path):
    """What cannot be noted is only not known afterwards; a child that raised would not end as it was told."""

    def full(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    marker = tmp_path / "went-on"
    ended(tmp_path, "w", full, begins(PIECE), InHand.end, lambda _: marker.mkdir())
    assert marker.exists()
    assert not_survived(tmp_path, 0.0) == {}
