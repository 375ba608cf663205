"""What a forked Python has of its own, and how its end is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import forked_python
from tests.forked_python import TalkingPython

PROGRAM = "tests.e2e.program"


def script(text: str) -> str:
    return json.dumps([("<script>", text)])


def test_it_has_the_folder_the_environment_the_arguments_and_the_streams_that_it_is_given(tmp_path: Path) -> None:
    said = (
        "import os, sys; print(os.getcwd(), dict(os.environ), sys.argv[1:]); print('no', file=sys.stderr); sys.exit(3)"
    )
    done = forked_python.run(PROGRAM, "a", cwd=tmp_path, environ={"ONE": "1"}, stdin=script(said).encode(), timeout=60)
    assert (done.returncode, done.stderr) == (3, b"no\n")
    assert done.stdout.decode() == f"{tmp_path} {{'ONE': '1'}} ['a']\n"


def test_nothing_of_it_stays_for_the_next_one(tmp_path: Path) -> None:
    changes = "import json, os, lorchestra; os.environ['LEFT'] = json.left = lorchestra.left = 'here'; os.umask(0)"
    looks = "import json, os, lorchestra; print(os.environ.get('LEFT'), vars(json).get('left'), os.umask(0) == 0)"
    for text, out in ((changes, b""), (looks, b"None None False\n")):
        done = forked_python.run(PROGRAM, cwd=tmp_path, stdin=script(text).encode(), timeout=60)
        assert (done.returncode, done.stdout) == (0, out)


def test_a_signal_that_ended_it_is_told() -> None:
    with TalkingPython(PROGRAM) as process:
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        process.kill()


def test_one_that_does_not_end_is_not_waited_for_for_ever() -> None:
    with TalkingPython(PROGRAM) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.end()


def test_several_are_at_work_at_once() -> None:
    with TalkingPython(PROGRAM) as one, TalkingPython(PROGRAM) as other:
        for process in (other, one):
            process.stdin.write(script("print('done')"))
            process.stdin.close()
            assert process.read() == "done\n"
