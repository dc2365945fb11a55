"""`python -m sandbox` is the command line of the sandbox."""

from sandbox.command_line import app

if __name__ == "__main__":
    app(prog_name="python -m sandbox")
