"""The local web app: one page per task, with the same calls as the command line; nothing leaves this computer."""
