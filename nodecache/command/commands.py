"""The commands for people, by their names: modules with a `main`, imported only when they are asked for."""

COMMANDS = {
    "check": "nodecache.command.check",
    "doctor": "nodecache.command.doctor.main",
    "explain": "nodecache.command.explain.main",
    "top": "nodecache.command.top.main",
    "completion": "nodecache.command.completion",
    "help": "nodecache.command.help",
}
