"""`flowers completion`: prints the code that makes a shell complete `flowers`."""

import argparse

from cli.arguments import ExitStatus, examples

# Each shell with the line that switches completion on for good.
SHELLS = {
    "bash": 'eval "$(flowers completion bash)"     # in ~/.bashrc',
    "zsh": 'eval "$(flowers completion zsh)"      # in ~/.zshrc, after compinit',
    "fish": "flowers completion fish | source      # in ~/.config/fish/config.fish",
}


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    completion = verbs.add_parser(
        "completion", help="print the code for shell completion",
        description="Prints the code that makes a shell complete verbs, options, presets, settings and registered versions.",
        **examples("bash", "zsh", after="switch it on with\n" + "\n".join(f"  {line}" for line in SHELLS.values())))  # fmt: skip
    completion.add_argument("shell", choices=tuple(SHELLS), help="for which shell")
    completion.set_defaults(verb=_completion)


def _completion(parsed: argparse.Namespace) -> ExitStatus:
    import argcomplete

    print(argcomplete.shellcode(["flowers"], shell=parsed.shell))
    return ExitStatus.FINISHED
