"""kubectl, and pods to run our scripts in."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

INSIDE = Path(__file__).with_name("inside")
PATIENCE_SECONDS = 120
PAUSE_SECONDS = 0.5


class KubectlFailed(Exception):
    """kubectl ended with another status than 0; the text is what it said."""


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
    """Run kubectl; its standard output."""
    program = shutil.which("kubectl") or "kubectl"
    result = subprocess.run(
        [program, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode:
        raise KubectlFailed(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def get(*arguments: str) -> dict[str, Any]:
    """`kubectl get … -o json`."""
    found: dict[str, Any] = json.loads(kubectl("get", *arguments, "-o", "json"))
    return found


def until(
    what: str, is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS, pause: float = 0.5
) -> float:
    """Ask until it is so; the seconds that took. AssertionError names what never came."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        try:
            if is_so():
                return time.monotonic() - began
        except (KubectlFailed, LookupError):
            pass
        time.sleep(pause)
    raise AssertionError(f"after {seconds:.0f} s still not so: {what}")


class Place:
    """A running pod with Python in it, to run scripts of `inside/` in."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name

    def _argv(self, arguments: tuple[str, ...], variables: tuple[str, ...]) -> list[str]:
        command = ["env", *variables, "python3", "-", *arguments]
        return ["-n", self.namespace, "exec", "-i", self.name, "--", *command]

    def run(self, script: str, *arguments: str, timeout: float = PATIENCE_SECONDS) -> Any:
        """Run `inside/SCRIPT` in it; the JSON it printed."""
        argv = self._argv(arguments, ())
        return json.loads(kubectl(*argv, stdin=(INSIDE / script).read_text(), timeout=timeout))

    def start(self, script: str, *arguments: str, variables: tuple[str, ...] = ()) -> "Running":
        """Start `inside/SCRIPT` in it, and go on."""
        argv = [shutil.which("kubectl") or "kubectl", *self._argv(arguments, variables)]
        pipe = subprocess.PIPE
        with (INSIDE / script).open() as source:
            return Running(
                subprocess.Popen(argv, stdin=source, stdout=pipe, stderr=pipe, text=True)
            )


class Pod(Place):
    """One pod of ours, idle."""

    def __init__(self, name: str, image: str, *, namespace: str = "default", **spec: Any) -> None:
        super().__init__(namespace, name)
        container = {
            "name": "main",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", "import signal; signal.pause()"],
            **spec.pop("container", {}),
        }
        self._manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
        }

    def create(self) -> "Pod":
        """Make it and wait until it runs."""
        kubectl("apply", "-f", "-", stdin=json.dumps(self._manifest))
        argv = ["wait", "--for=condition=Ready", "--timeout=60s", f"pod/{self.name}"]
        kubectl("-n", self.namespace, *argv)
        return self

    def delete(self) -> None:
        kubectl("-n", self.namespace, "delete", "pod", self.name, "--wait=false")

    @property
    def ip(self) -> str:
        return str(get("-n", self.namespace, "pod", self.name)["status"]["podIP"])


class Running:
    """A script under way in a pod."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def outcome(self, timeout: float = PATIENCE_SECONDS) -> Any:
        """Wait for its end; the JSON it printed."""
        output, errors = self._process.communicate(timeout=timeout)
        assert self._process.returncode == 0, errors
        return json.loads(output)
