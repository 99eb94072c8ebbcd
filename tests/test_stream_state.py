"""A stream's states, and the only ways between them."""

from __future__ import annotations

import pytest

from ordertape.errors import TransitionRefused
from ordertape.stream.state import TRANSITIONS, StateMachine, StreamState


def at(state: StreamState) -> StateMachine:
    machine = StateMachine()
    machine.state = state
    return machine


@pytest.mark.parametrize("name", sorted(TRANSITIONS))
@pytest.mark.parametrize("state", list(StreamState))
def test_a_transition_goes_where_it_says_or_names_the_actual_state(
    name: str, state: StreamState
) -> None:
    machine = at(state)
    allowed, target = TRANSITIONS[name]
    if state in allowed:
        assert machine.go(name, "because") == (state, target)
        assert (machine.state, machine.reason) == (target, "because")
    else:
        with pytest.raises(TransitionRefused, match=f"{name}: expected .*{state.value}"):
            machine.go(name, "because")
        assert machine.state is state


def test_a_stream_begins_stopped_and_every_state_can_be_reached() -> None:
    assert StateMachine().state is StreamState.STOPPED
    assert {target for _, target in TRANSITIONS.values()} == set(StreamState)


def test_three_states_have_no_connection() -> None:
    apart = {state for state in StreamState if not at(state).connected}
    assert apart == {StreamState.CONNECTING, StreamState.STOPPED, StreamState.FAILED}
