"""snsearch completion: the shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: snsearch completion bash > ~/.local/share/bash-completion/completions/snsearch
    zsh:  snsearch completion zsh > "${fpath[1]}/_snsearch"
    fish: snsearch completion fish > ~/.config/fish/completions/snsearch.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "snsearch", "_SNSEARCH_COMPLETE").source())
